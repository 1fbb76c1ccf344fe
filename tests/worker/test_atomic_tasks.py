"""`@task(atomic=True)`: what the body did and the record of its success commit together, or neither does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import OperationalError, connections, transaction

from reinhardt_tasks._compat import task_finished
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Claim, Job, Succeeded, TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from tests.databases import emptied
from tests.servers import wait_until

from .running import AT_ONCE, SOON, Door, ended, enqueued, run_all, stored, working

ALIAS = "sqlite"
ONCE = BackendOptions(max_attempts=1)

began: list[str] = []


@pytest.fixture(autouse=True)
def nothing_began() -> None:
    began.clear()


@pytest.fixture
def broker(sqlite_database: str, django_db_blocker: Any) -> Iterator[DatabaseBroker]:
    with django_db_blocker.unblock():
        emptied(sqlite_database)
        broker = Hurried("default", sqlite_database)
        yield broker
        broker.close()


class Hurried(DatabaseBroker):
    """Lets something happen between the claim of an atomic task and its transaction, which locks the others out."""

    between: Callable[[], None] | None = None

    def transaction(self) -> Any:
        if self.between is not None:
            self.between()
        return super().transaction()


def is_there(name: str) -> bool:
    return Group.objects.using(ALIAS).filter(name=name).exists()


@task(atomic=True)
def write(name: str) -> str:
    Group.objects.using(ALIAS).create(name=name)
    assert connections[ALIAS].in_atomic_block
    return name


@task(atomic=True)
def write_and_fail(name: str) -> None:
    began.append(name)
    Group.objects.using(ALIAS).create(name=name)
    raise ValueError("after the write")


@task(atomic=True)
def write_what_json_cannot_hold(name: str) -> Any:
    Group.objects.using(ALIAS).create(name=name)
    return {1, 2}


@task(atomic=True, timeout=0.1)
def write_too_long(name: str) -> None:
    Group.objects.using(ALIAS).create(name=name)
    while True:
        time.sleep(0.001)


@task(atomic=True)
def never_here() -> None:
    began.append("never")


@task
def be_quick() -> None:
    pass


def test_body_and_success_commit_together(broker: DatabaseBroker) -> None:
    jobs = [enqueued(broker, write, new_id()) for _ in range(10)]
    worker = run_all(broker)
    done = ended(broker, *jobs)
    assert {job.status for job in done} == {TaskStatus.SUCCESS}
    assert all(is_there(job.result.strip('"')) for job in done)
    assert worker.succeeded == 10


def test_burst_goes_on_after_an_atomic_task(broker: DatabaseBroker) -> None:
    jobs = [enqueued(broker, each, *args) for each, *args in [(write, new_id()), (be_quick,), (write, new_id())]]
    run_all(broker, concurrency=1)
    assert {job.status for job in ended(broker, *jobs)} == {TaskStatus.SUCCESS}


def test_a_failure_takes_its_writes_with_it(broker: DatabaseBroker) -> None:
    name = new_id()
    job = enqueued(broker, write_and_fail, name)
    run_all(broker, BackendOptions(max_attempts=3, backoff=AT_ONCE))
    (done,) = ended(broker, job)
    assert done.status is TaskStatus.FAILURE
    assert [attempt.exception for attempt in done.history] == ["builtins.ValueError"] * 3
    assert began == [name] * 3
    assert not is_there(name)


def test_a_value_that_cannot_be_stored_takes_the_writes_with_it(broker: DatabaseBroker) -> None:
    name = new_id()
    job = enqueued(broker, write_what_json_cannot_hold, name)
    run_all(broker)
    assert ended(broker, job)[0].status is TaskStatus.FAILURE
    assert not is_there(name)


def test_a_timeout_takes_the_writes_with_it(broker: DatabaseBroker) -> None:
    name = new_id()
    job = enqueued(broker, write_too_long, name)
    run_all(broker, ONCE)
    (done,) = ended(broker, job)
    assert done.history[0].exception == "reinhardt_tasks.exceptions.TaskTimeout"
    assert not is_there(name)


def test_a_worker_that_lost_the_task_rolls_back(broker: Hurried, caplog: pytest.LogCaptureFixture) -> None:
    name = new_id()
    job = enqueued(broker, write, name)
    other = WorkerInfo(id=f"another-{new_id()}", lease=3600)
    rescued: list[Claim] = []
    is_known = threading.Event()

    def take_over() -> None:
        broker.between = None
        is_known.wait(SOON)
        # As when its lease had run out: it is signed off behind its back. At one go, or its own rescue may come in between.
        with broker.transaction():
            broker.leave(worker.info)
            rescued.extend(broker.rescue(10, other))

    broker.between = take_over
    caplog.set_level("INFO", "reinhardt_tasks")
    with working(broker, BackendOptions(lease=3600)) as worker:
        is_known.set()
        wait_until(lambda: rescued and not worker._ledger.held, "the worker is done with it", timeout=SOON)
        assert not is_there(name)
        assert stored(broker, job).status is TaskStatus.RUNNING
        assert broker.settle([Succeeded(claim=rescued[0], result='"of the other"')]) == []
    assert stored(broker, job).result == '"of the other"'
    assert worker.succeeded == 0
    assert "after its lease was lost; nothing is recorded" in caplog.text


@task(atomic=True)
def write_what_cannot_be_committed(name: str) -> None:
    """Break a constraint that the database looks at when it commits."""
    Permission.objects.using(ALIAS).create(name=name, codename=name, content_type_id=999_999_999)


@pytest.fixture
def told() -> Iterator[list[tuple[Any, bool]]]:
    """What is told of ended tasks, and whether that was within a transaction."""
    heard: list[tuple[Any, bool]] = []

    def hear(task_result: Any, **kwargs: Any) -> None:
        heard.append((task_result.status, connections[ALIAS].in_atomic_block))

    task_finished.connect(hear, sender=Door)
    yield heard
    task_finished.disconnect(hear, sender=Door)


def test_a_success_is_told_when_it_is_committed(broker: DatabaseBroker, told: list[tuple[Any, bool]]) -> None:
    run_all_of(broker, write, new_id())
    assert told == [(TaskStatus.SUCCESS.django, False)]


def test_a_success_that_cannot_be_committed_is_told_as_a_failure_only(
    broker: DatabaseBroker, told: list[tuple[Any, bool]]
) -> None:
    done = run_all_of(broker, write_what_cannot_be_committed, new_id())
    assert done.status is TaskStatus.FAILURE
    assert [attempt.exception for attempt in done.history] == ["django.db.utils.IntegrityError"]
    assert told == [(TaskStatus.FAILURE.django, False)]


def test_a_store_that_is_away_before_the_task_begins_costs_no_attempt(
    broker: Hurried, told: list[tuple[Any, bool]]
) -> None:
    times = 0

    def be_away() -> None:
        nonlocal times
        times += 1
        if times <= 2:
            raise OperationalError("the connection is closed")

    broker.between = be_away
    done = run_all_of(broker, write, new_id())
    assert (done.status, done.history, done.token) == (TaskStatus.SUCCESS, (), 3)
    assert told == [(TaskStatus.SUCCESS.django, False)]


def run_all_of(broker: DatabaseBroker, task: Any, *args: Any) -> Job:
    """Run one task, which has one attempt."""
    job = enqueued(broker, task, *args)
    run_all(broker, ONCE)
    return ended(broker, job)[0]


def test_no_transaction_is_left_open(broker: DatabaseBroker) -> None:
    names = [new_id() for _ in range(3)]
    enqueued(broker, write_and_fail, names[0])
    enqueued(broker, write_what_json_cannot_hold, names[1])
    job = enqueued(broker, write, names[2])
    run_all(broker, ONCE, concurrency=1)
    ended(broker, job)
    with transaction.atomic(using=ALIAS):
        assert [is_there(name) for name in names] == [False, False, True]


def test_a_store_without_transactions_says_so() -> None:
    memory = MemoryBroker()
    job = enqueued(memory, never_here)
    run_all(memory, ONCE)
    (done,) = ended(memory, job)
    assert done.history[0].exception == "reinhardt_tasks.exceptions.ExecutionFailed"
    assert "atomic=True needs a database backend" in done.history[0].traceback
    assert began == []
