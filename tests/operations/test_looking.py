"""What people are shown: over several stores, over time, and of one task."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks.exceptions import OperationRefused
from reinhardt_tasks.jobs import Job, Retrying, Succeeded, TaskStatus, new_id
from reinhardt_tasks.operations import Query, Store, alerts, failures, find_task, list_tasks, overview, throughput, view
from tests.commands.telling import told

from . import chores
from .stores import attempt, claim, fail, logged, put_off, succeed, worker


@pytest.fixture
def two(database_store: Store, redis_server: Any, settings: Any) -> Iterator[list[Store]]:
    """A store on a database, and one on Redis beside it."""
    settings.TASKS = {
        **settings.TASKS,
        "fast": {
            "BACKEND": "reinhardt_tasks.backends.RedisBackend",
            "OPTIONS": {"URL": redis_server.url, "PREFIX": f"test:{new_id()}:"},
        },
        "now": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend"},
        "djangos": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"},
    }
    if not _has_djangos_tasks():
        settings.TASKS = {alias: its for alias, its in settings.TASKS.items() if alias != "djangos"}
    stores = operations.stores()
    yield stores
    stores[1].broker.connections.close()  # type: ignore[attr-defined]


def _has_djangos_tasks() -> bool:
    import django

    return django.VERSION >= (6, 0)


def test_tasks_of_all_stores_are_one_list(two: list[Store]) -> None:
    ids = [chores.add.using(backend=("default", "fast")[number % 2]).enqueue(number).id for number in range(7)]
    found, after = [], None
    while True:
        listing = list_tasks(Query(), after=after, limit=2)
        found += [(task.id, task.backend) for task in listing.tasks]
        after = listing.after
        if after is None:
            break
    assert found == [(id_, ("default", "fast")[number % 2]) for number, id_ in enumerate(ids)][::-1]
    assert [find_task(id_)[0].alias for id_ in ids[:2]] == ["default", "fast"]
    assert [task.id for task in list_tasks(Query(), of=two[1:]).tasks] == ids[5::-2]


def test_an_overview_has_every_alias(two: list[Store]) -> None:
    found = {each.alias: each for each in overview()}
    assert list(found)[:3] == ["default", "fast", "now"]
    assert (found["now"].keeps_tasks, found["default"].keeps_tasks) == (False, True)
    assert all(not each.keeps_tasks and each.error for alias, each in found.items() if alias not in ("default", "fast"))
    # Queues that the settings name are there before anything is in them.
    assert [queue.queue for queue in found["default"].queues] == ["default", "emails", "reports"]
    assert [each.alias for each in overview(only=["fast"])] == ["fast"]
    with pytest.raises(OperationRefused, match="did you mean 'fast'"):
        overview(only=["fats"])


def test_failures_of_all_stores_are_grouped(two: list[Store]) -> None:
    for store in two:
        chores.add.using(backend=store.alias).enqueue(1)
        fail(store)
    assert {(group.backend, group.count) for group in failures().groups} == {("default", 1), ("fast", 1)}


def test_throughput_has_every_step(store: Store) -> None:
    for number in range(4):
        chores.add.enqueue(number)
    succeed(store)
    succeed(store)
    fail(store)
    store.broker.cancel([job.id for job in store.broker.find(Query(statuses=(TaskStatus.PENDING,)))])
    chores.log_in.enqueue("ada", "secret")
    succeed(store, "emails")
    found = throughput(store, span=timedelta(minutes=10), step=timedelta(seconds=10))
    assert set(found.queues) == {"default", "emails"}
    assert len(found.queues["default"]) == len(found.total) == 60
    assert found.until - found.since == timedelta(minutes=10) and not found.is_estimate
    assert [
        sum(getattr(rate, kind) for rate in found.queues["default"]) for kind in ("succeeded", "failed", "cancelled")
    ] == [
        2,
        1,
        1,
    ]
    assert sum(rate.ended for rate in found.total) == found.whole.ended == 5
    assert (found.whole.succeeded, found.whole.failed, found.whole.failure_percent) == (3, 1, 25.0)
    busy = max(found.total, key=lambda rate: rate.ended)
    assert busy.begins_at.second % 10 == 0 and busy.begins_at <= datetime.now(UTC)
    idle = throughput(store, until=datetime(2020, 1, 1, tzinfo=UTC))
    assert (idle.queues, idle.total, idle.whole.ended, idle.whole.failure_percent) == ({}, [], 0, None)


def test_the_part_that_failed_is_of_what_ran() -> None:
    rate = operations.Rate(begins_at=datetime.now(UTC), succeeded=3, failed=1, cancelled=96)
    assert rate.failure_rate == 0.25
    assert operations.Rate(begins_at=datetime.now(UTC), cancelled=1).failure_rate is None


@pytest.mark.parametrize("step", [timedelta(0), timedelta(hours=2), timedelta(seconds=1)])
def test_steps_that_cannot_be_are_refused(database_store: Store, step: timedelta) -> None:
    with pytest.raises(OperationRefused):
        throughput(database_store, step=step)


def test_a_view_tells_each_attempt_and_the_time_that_it_took(store: Store) -> None:
    id_ = chores.log_in.enqueue("ada", "swordfish").id
    put_off(store, "emails")
    waiting = view(store.broker.get([id_])[id_])
    assert [event.what for event in waiting.timeline] == ["enqueued", "started", "failed", "due"]
    assert waiting.timeline[-1].at > datetime.now(UTC)
    store.broker.retry([id_])
    by = worker("second")
    claim(store, "emails", by)
    running = view(store.broker.get([id_])[id_])
    assert [(a.number, a.worker == by.id, a.exception) for a in running.attempts] == [
        (1, False, "builtins.ValueError"),
        (2, True, ""),
    ]
    assert running.attempts[0].duration == 0 and running.attempts[1].duration is None
    assert "swordfish" not in repr(running) + str(running.as_json())
    assert running.is_registered and running.task_priority == 5


def living(*, queues: tuple[str, ...] = (), is_alive: bool = True, running: int = 0) -> Any:
    now = datetime.now(UTC)
    facts = {"backend": "default", "id": "x", "name": "x", "host": "x", "pid": 1, "slots": 1, "beat_age": 1.0}
    return operations.WorkerView(
        **facts, queues=queues, running=running, is_alive=is_alive, started_at=now, beat_at=now
    )


def test_alerts_are_about_living_workers_that_serve_the_queue() -> None:
    def codes(*workers: Any, **queue: Any) -> list[str]:
        one = operations.QueueOverview(queue="a", **queue)
        return [alert.code for alert in alerts.alerts_of("default", [one], workers)]

    assert (
        codes() == codes(is_paused=True) == codes(living(), ready=1) == codes(living(queues=("a", "b")), ready=1) == []
    )
    assert codes(ready=1) == codes(scheduled=1) == codes(living(queues=("b",)), retrying=1) == ["no_worker"]
    assert codes(living(is_alive=False), ready=1) == ["no_worker"]
    assert codes(living(is_alive=False, running=2)) == ["lost_workers"]
    assert codes(living(is_alive=False, running=2), living()) == []
    assert codes(living(), ready=1, oldest_age=301.0) == ["old_tasks"]
    assert codes(ready=1, oldest_age=301.0) == ["no_worker", "old_tasks"]
    assert codes(scheduled=1, is_paused=True) == ["paused"]


@pytest.mark.parametrize("queue", ["emails", "Ada's mails"])
def test_the_command_that_resumes_a_queue_can_be_run_as_it_is_told(two: list[Store], settings: Any, queue: str) -> None:
    one = {"default": {**settings.TASKS["default"], "QUEUES": ["default", queue]}}

    def resumed() -> list[str]:
        store = operations.store_of("default")
        store.broker.pause(queue)
        chores.add.using(queue_name=queue).enqueue(1)
        (alert,) = overview(only=["default"])[0].alerts
        words = shlex.split(alert.hint.split("`")[1])
        assert told(*words[2:])[:2] == (0, f"Queue {queue!r} is open.\n")
        return words

    settings.TASKS = {**settings.TASKS, **one}
    assert resumed() == ["manage.py", "tasks", "resume", queue, "--backend", "default"]
    settings.TASKS = one
    assert resumed() == ["manage.py", "tasks", "resume", queue]


def test_an_age_is_told_in_words() -> None:
    queue = operations.QueueOverview(queue="a", ready=1, oldest_age=725.0)
    (alert,) = alerts.alerts_of("default", [queue], [living()], max_oldest=300.0)
    assert alert.message == "The oldest ready task of queue 'a' has waited for 12 minutes, and may for 5 minutes."


def test_a_damaged_job_is_shown_all_the_same() -> None:
    job = Job(
        id="x", name="", payload="?", backend="default", priority=10_000, result="not JSON", status=TaskStatus.SUCCESS
    )
    shown = view(job)
    assert shown.as_json()["result"] == "[redacted]" and shown.task_priority == 9
    assert view(replace(job, name=chores.add.module_path)).as_json()["result"] == "not JSON"
    assert shown.call.problem and list(shown.timeline) == []


def test_a_success_that_was_cancelled_has_its_own_entry_when_the_task_was_retried(store: Store) -> None:
    chores.add.using(max_attempts=3).enqueue(1)
    one = claim(store)
    store.broker.cancel([one.job.id])
    store.broker.settle([Succeeded(claim=one, log=logged(one, "cancelled"))])

    def seen() -> list[tuple[int, bool, str, list[str]]]:
        found = view(store.broker.get([one.job.id])[one.job.id])
        assert len(found.log) == sum(len(attempt.log) for attempt in found.attempts)
        return [(a.number, a.cancelled, a.exception, [line.message for line in a.log]) for a in found.attempts]

    first = (1, True, "", ["cancelled"])
    assert seen() == [first]
    assert store.broker.retry([one.job.id]) == [one.job.id]
    assert seen() == [first]
    two = claim(store)
    # A running attempt has no lines yet.
    assert seen() == [first, (1, False, "", [])]
    store.broker.settle([Retrying(claim=two, attempt=attempt(two), log=logged(two, "failed"))])
    assert seen() == [first, (1, False, "builtins.ValueError", ["failed"])]
    three = claim(store)
    store.broker.settle([Succeeded(claim=three, log=logged(three, "done"))])
    assert seen() == [first, (1, False, "builtins.ValueError", ["failed"]), (2, False, "", ["done"])]
