"""Limits through the backends' doors: what the decorator and the settings say reaches the store, on every way there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from reinhardt_tasks import Concurrency, Debounce, RateLimit, Unique, signals, task
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.backends import DatabaseBackend, DummyBackend, ImmediateBackend, RedisBackend
from reinhardt_tasks.gates import Limit, Until
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.schedules import IntervalSchedule
from reinhardt_tasks.schedules.declarations import Declaration
from reinhardt_tasks.scheduling.addresses import address_of, slot_job
from tests.servers import wait_until

from .redis_doors import Door, door
from .working import work_off

__all__ = ["door"]

QUEUES = {"OPTIONS": {"QUEUES": {"emails": {"concurrency": 2, "rate_limit": "600/m"}}}}

seen: list[Any] = []


@task(unique=True)
def index(shop: int) -> int:
    seen.append(shop)
    return shop


@task(concurrency=Concurrency(1, key="user:{user}"), rate_limit=RateLimit("6000/m", key="user:{user}", burst=5))
def call(user: int) -> int:
    seen.append(user)
    return user


@task(debounce=Debounce(0.2, key="{document}", max_wait=1))
def preview(document: int, text: str) -> str:
    seen.append(text)
    return text


@task
def send() -> None: ...


@pytest.fixture
def backend(database_alias: str, settings: Any) -> Iterator[DatabaseBackend]:
    seen.clear()
    settings.TASKS = {
        "default": {
            "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
            "QUEUES": [],
            "OPTIONS": {"DATABASE": database_alias, **QUEUES["OPTIONS"]},
        }
    }
    yield task_backends["default"]
    task_backends["default"].broker.close()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The ids that `task_enqueued` tells."""
    ids: list[str] = []

    def hear(task_result: Any, **facts: Any) -> None:
        ids.append(task_result.id)

    signals.task_enqueued.connect(hear)
    yield ids
    signals.task_enqueued.disconnect(hear)


def test_a_unique_task_is_there_once_until_it_has_finished(backend: DatabaseBackend) -> None:
    first, again, other = index.enqueue(1), index.enqueue(shop=1), index.enqueue(2)
    assert (first.id == again.id, first.id == other.id) == (True, False)
    work_off(backend)
    again.refresh()
    assert (again.state, again.return_value) == (TaskStatus.SUCCESS, 1)
    assert index.enqueue(1).id != first.id
    assert sorted(seen) == [1, 2]


def test_a_result_shows_the_arguments_that_run(backend: DatabaseBackend) -> None:
    alike = index.using(unique=Unique(key="all"))
    first, second = alike.enqueue(1), alike.enqueue(2)
    assert (second.id, second.args) == (first.id, [1])


def test_many_unique_calls_in_one_are_one_each(backend: DatabaseBackend) -> None:
    results = index.enqueue_many([((number % 2,), {}) for number in range(6)])
    assert len({result.id for result in results}) == 2


def test_the_signal_is_sent_for_what_was_stored_alone(backend: DatabaseBackend, told: list[str]) -> None:
    first, _ = index.enqueue(1), index.enqueue(1)
    other = index.enqueue_many([((1,), {}), ((2,), {}), ((2,), {})])[1]
    written, _ = preview.enqueue(1, "a"), preview.enqueue(1, "ab")
    assert told == [first.id, other.id, written.id]


@pytest.mark.django_db(transaction=True)
def test_redis_tells_of_what_was_stored_alone_on_each_way(door: Door, told: list[str]) -> None:
    backend = door()
    first, _ = index.enqueue(1), index.enqueue(1)
    with transaction.atomic():
        index.enqueue(1)
        second = index.enqueue(2)
        index.enqueue(2)
    third = asyncio.run(index.aenqueue(3))
    asyncio.run(index.aenqueue(3))
    assert told == [first.id, second.id, third.id]
    backend.enqueue_jobs(backend.jobs_of(index, [((1,), {}), ((4,), {})]))
    assert len(told) == 4


def test_a_copy_can_be_unique_in_another_way(backend: DatabaseBackend) -> None:
    free = index.using(unique=False)
    assert free.enqueue(1).id != free.enqueue(1).id
    until_started = send.using(unique=Unique(key="all", until="started")).enqueue()
    assert backend.broker.get([until_started.id])[until_started.id].once_until is Until.STARTED


def test_limits_of_task_and_queue_are_in_the_job(backend: DatabaseBackend) -> None:
    result = call.using(queue_name="emails").enqueue(7)
    assert backend.broker.get([result.id])[result.id].limits == (
        Limit(key="running:user:7", size=1),
        Limit(key="rate:user:7", size=5, every=10_000),
        Limit(key="queue-running:emails", size=2),
        Limit(key="queue-rate:emails", size=1, every=100_000),
    )
    assert backend.broker.get([send.enqueue().id]).popitem()[1].limits == ()


def test_a_worker_runs_all_that_limits_hold_back(backend: DatabaseBackend) -> None:
    results = call.enqueue_many([((number % 2,), {}) for number in range(10)])
    # What a rate holds back is not ready: a worker that only runs what is ready leaves it.
    wait_until(lambda: work_off(backend) and len(seen) >= 10, "all have run")
    assert {backend.get_result(result.id).state for result in results} == {TaskStatus.SUCCESS}


def test_debounced_calls_become_one_with_the_last_arguments(backend: DatabaseBackend) -> None:
    ids = {preview.enqueue(1, text).id for text in ("a", "b", "c")}
    (id_,) = ids
    job = backend.broker.get([id_])[id_]
    assert job.status is TaskStatus.SCHEDULED
    assert backend.get_result(id_).args == [1, "c"]


def test_limits_go_with_a_transaction(backend: DatabaseBackend) -> None:
    with transaction.atomic(using=backend.database):
        one = index.enqueue(1)
        assert index.enqueue(1).id == one.id
        transaction.set_rollback(True, using=backend.database)
    two = index.enqueue(1)
    assert two.id != one.id
    work_off(backend)
    assert seen == [1]


def test_an_outbox_carries_limits_to_redis(door: Door, sqlite_database: str, django_db_blocker: Any) -> None:
    from tests.databases import emptied

    with django_db_blocker.unblock():
        emptied(sqlite_database)
        backend: RedisBackend = door(OUTBOX=True, DATABASE=sqlite_database, SIGN=True)
        result, once, late = call.enqueue(3), index.enqueue(4), preview.enqueue(5, "a")
        jobs = backend.broker.get([result.id, once.id, late.id])
    assert [limit.key for limit in jobs[result.id].limits] == ["running:user:3", "rate:user:3"]
    assert jobs[once.id].once_until is Until.FINISHED
    assert jobs[late.id].status is TaskStatus.SCHEDULED


@pytest.mark.parametrize("options", [{}, {"SHARDS": 3}, {"SIGN": True}, {"SIGN": True, "SHARDS": 3}])
def test_debounced_arguments_are_read_whoever_wrote_them(door: Door, options: dict[str, Any]) -> None:
    backend = door(**options)
    seen.clear()
    ids = {preview.enqueue(1, text).id for text in ("a", "b", "c")}
    assert len(ids) == 1
    wait_until(lambda: work_off(backend) and seen, "it is due")
    assert seen == ["c"]


def test_redis_keeps_what_is_limited_in_one_shard_and_finds_it(door: Door) -> None:
    backend = door(SHARDS=4)
    seen.clear()
    results = call.enqueue_many([((1,), {}) for _ in range(12)])
    assert {backend.get_result(result.id).state for result in results} == {TaskStatus.PENDING}
    assert backend.cancel([result.id for result in results[6:]]) == [result.id for result in results[6:]]
    wait_until(lambda: work_off(backend) and len(seen) >= 6, "all have run")
    assert len(seen) == 6


def test_the_settings_of_a_queue_are_checked(settings: Any) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
            "OPTIONS": {"QUEUES": {"emails": {"rate_limit": "600/min"}}},
        }
    }
    (message,) = [m for m in task_backends["default"].check() if m.id == "reinhardt_tasks.E004"]
    assert "Queue 'emails': rate_limit '600/min' has no unit of time in 'min'" in message.msg


def test_a_queue_that_only_limits_itself_says_nothing_of_retries(settings: Any) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
            "QUEUES": [],
            "OPTIONS": {"MAX_ATTEMPTS": 9, "QUEUES": {"emails": {"concurrency": 1}}},
        }
    }
    backend = task_backends["default"]
    (job,) = backend.jobs_of(send.using(queue_name="emails"), [((), {})])
    assert backend.settings.retry_policy(send, job).max_attempts == 9


@pytest.mark.parametrize("kind", [ImmediateBackend, DummyBackend])
def test_without_a_store_every_call_is_its_own(settings: Any, kind: type) -> None:
    settings.TASKS = {"default": {"BACKEND": f"reinhardt_tasks.backends.{kind.__name__}"}}
    ids = {each.enqueue(1).id for each in (index, index, call, call)}
    assert len(ids) == 4
    with pytest.raises(TypeError, match="cannot be made"):
        call.using(concurrency=Concurrency(1, key=lambda user: 1 / 0)).enqueue(1)


def test_a_slot_of_a_schedule_is_kept_whatever_its_task_is_unique_by(backend: DatabaseBackend) -> None:
    for limited in (index, preview):
        arguments = (1,) if limited is index else (1, "a")
        declaration = Declaration(
            name=limited.name, task=limited.module_path, schedule=IntervalSchedule(timedelta(hours=1)), args=arguments
        )
        job = slot_job(declaration, address_of(declaration), datetime(2030, 1, 1, tzinfo=UTC))
        assert (job.once_until, job.debounce, job.max_wait) == (None, None, None)
        assert job.once_key is not None and job.once_key.startswith("schedule:")
