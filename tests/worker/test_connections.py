"""What a task did to its thread's database connections does not reach the next; a good connection is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connections, transaction

from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker.connections import tidy_connections

from .running import ended, enqueued, run_all, working

ONCE = BackendOptions(max_attempts=1)
ALIAS = "sqlite"

kept: list[int] = []


@pytest.fixture(autouse=True)
def nothing_kept(sqlite_database: str) -> Iterator[None]:
    kept.clear()
    yield
    kept.clear()


@pytest.fixture
def broker(database: str) -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def database(sqlite_database: str, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock():
        yield sqlite_database


def connection() -> Any:
    return connections[ALIAS]


@task
def leave_a_transaction_open(name: str) -> None:
    transaction.atomic(using=ALIAS).__enter__()
    Group.objects.using(ALIAS).create(name=name)


@task
def leave_autocommit_off(name: str) -> None:
    connection().set_autocommit(False)
    Group.objects.using(ALIAS).create(name=name)


@task
def leave_a_broken_transaction() -> None:
    transaction.atomic(using=ALIAS).__enter__()
    transaction.set_rollback(True, using=ALIAS)
    raise ValueError("in the middle")


@task
def lose_the_connection() -> None:
    with connections["postgres"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@task
def write_on_server(name: str) -> None:
    Group.objects.using("postgres").create(name=name)


@task
def write(name: str) -> int:
    connection().ensure_connection()
    kept.append(id(connection().connection))
    Group.objects.using(ALIAS).create(name=name)
    return threading.get_ident()


@task
async def lose_the_connection_later() -> None:
    await sync_to_async(lose_the_connection.func)()


@task
async def write_on_server_later(name: str) -> None:
    await Group.objects.using("postgres").acreate(name=name)


@task
async def leave_a_transaction_open_later(name: str) -> None:
    await sync_to_async(leave_a_transaction_open.func)(name)


@task
async def write_later(name: str) -> None:
    await Group.objects.using(ALIAS).acreate(name=name)


def is_there(name: str) -> bool:
    return Group.objects.using(ALIAS).filter(name=name).exists()


@pytest.mark.parametrize("leaves", [leave_a_transaction_open, leave_autocommit_off], ids=["atomic", "autocommit"])
def test_an_open_transaction_ends_with_its_task(broker: MemoryBroker, leaves: Any) -> None:
    lost, written = new_id(), new_id()
    first, second = enqueued(broker, leaves, lost), enqueued(broker, write, written)
    run_all(broker, ONCE, concurrency=1)
    assert [job.status for job in ended(broker, first, second)] == [TaskStatus.SUCCESS] * 2
    assert not is_there(lost)
    assert is_there(written)


@task(timeout=0.1)
def be_stopped_in_the_middle_of_a_begin() -> None:
    """As when it is stopped between the statement and Django's note of it: Django knows of no transaction."""
    connection().cursor().execute("BEGIN IMMEDIATE")
    while True:
        time.sleep(0.001)


def test_a_transaction_ends_with_its_task_of_which_django_does_not_know(broker: MemoryBroker) -> None:
    job = enqueued(broker, be_stopped_in_the_middle_of_a_begin)
    with working(broker, ONCE, concurrency=1):
        ended(broker, job)
        Group.objects.using(ALIAS).create(name=new_id())


def test_a_broken_transaction_ends_with_its_task(broker: MemoryBroker) -> None:
    name = new_id()
    enqueued(broker, leave_a_broken_transaction)
    second = enqueued(broker, write, name)
    run_all(broker, ONCE, concurrency=1)
    assert ended(broker, second)[0].status is TaskStatus.SUCCESS
    assert is_there(name)


@pytest.mark.parametrize(
    ("loses", "writes"),
    [(lose_the_connection, write_on_server), (lose_the_connection_later, write_on_server_later)],
    ids=["function", "coroutine"],
)
def test_a_lost_connection_is_replaced_for_the_next_task(
    broker: MemoryBroker, postgres_database: str, loses: Any, writes: Any
) -> None:
    name = new_id()
    with working(broker, ONCE, concurrency=1):
        (first,) = ended(broker, enqueued(broker, loses))
        (second,) = ended(broker, enqueued(broker, writes, name))
    assert (first.status, second.status) == (TaskStatus.FAILURE, TaskStatus.SUCCESS)
    assert Group.objects.using(postgres_database).filter(name=name).exists()


def test_a_connection_is_kept_between_tasks(broker: MemoryBroker) -> None:
    assert connection().settings_dict["CONN_MAX_AGE"] == 0
    jobs = [enqueued(broker, write, new_id()) for _ in range(5)]
    run_all(broker, ONCE, concurrency=1)
    assert {job.status for job in ended(broker, *jobs)} == {TaskStatus.SUCCESS}
    assert len(kept) == 5
    assert len(set(kept)) == 1


def test_an_open_transaction_ends_with_its_coroutine(broker: MemoryBroker) -> None:
    lost, written = new_id(), new_id()
    with working(broker, ONCE):
        ended(broker, enqueued(broker, leave_a_transaction_open_later, lost))
        ended(broker, enqueued(broker, write_later, written))
    assert not is_there(lost)
    assert is_there(written)


# By itself, in this thread


@pytest.fixture
def own(database: str) -> Iterator[Any]:
    """A connection of this thread, with settings of the test's own."""
    wrapper = connection()
    wrapper.close()
    before = dict(wrapper.settings_dict)
    yield wrapper
    wrapper.settings_dict.update(before)
    wrapper.close()


def test_nothing_is_opened_only_to_be_tidied(own: Any) -> None:
    tidy_connections()
    assert own.connection is None


@pytest.mark.parametrize(("age", "is_kept"), [(0, True), (None, True), (3600, True), (1e-9, False)])
def test_an_age_above_zero_is_honoured(own: Any, age: float | None, is_kept: bool) -> None:
    own.settings_dict["CONN_MAX_AGE"] = age
    own.connect()
    raw = own.connection
    tidy_connections()
    assert (own.connection is raw) is is_kept


def test_health_is_checked_again_before_the_next_task(own: Any) -> None:
    own.settings_dict.update(CONN_HEALTH_CHECKS=True, CONN_MAX_AGE=3600)
    own.connect()
    assert own.health_check_done
    tidy_connections()
    assert not own.health_check_done


def test_an_error_that_left_the_connection_good_costs_nothing(own: Any) -> None:
    own.connect()
    raw = own.connection
    own.errors_occurred = True
    tidy_connections()
    assert own.connection is raw
    assert not own.errors_occurred


def test_callbacks_of_a_transaction_that_was_left_are_forgotten(own: Any) -> None:
    called: list[int] = []
    atomic = transaction.atomic(using=ALIAS)
    atomic.__enter__()
    transaction.on_commit(lambda: called.append(1), using=ALIAS)
    tidy_connections()
    with transaction.atomic(using=ALIAS):
        Group.objects.using(ALIAS).count()
    assert called == []


def test_a_connection_that_cannot_be_tidied_is_given_up(own: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fall() -> bool:
        raise ValueError("a driver's own fault")

    own.connect()
    own.get_autocommit = fall
    tidy_connections()
    assert connection() is not own
    assert "could not be tidied" in caplog.text
    del own.get_autocommit
