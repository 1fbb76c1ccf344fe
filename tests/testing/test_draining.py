"""What waits is run here and now, as a worker would run it."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.template import Context, Template
from django.utils import timezone
from django.utils.timezone import now

from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.signals import task_finished, task_retried
from reinhardt_tasks.testing import CapturedTasks, TasksFailed, captured_tasks

from . import chores
from .chores import anote, count_down, fail, go_on_for_ever, note, note_slowly, noted, send, succeed_at, tell_time


def test_nothing_runs_before_and_everything_runs_by_drain(reinhardt_tasks: CapturedTasks) -> None:
    result = note.enqueue((1, 2))
    assert noted == [] and result.state is TaskStatus.PENDING
    [ran] = reinhardt_tasks.drain()
    assert noted == [[1, 2]]
    assert (ran.id, ran.state, ran.return_value) == (result.id, TaskStatus.SUCCESS, [1, 2])
    result.refresh()
    assert result.return_value == [1, 2]
    assert reinhardt_tasks.drain() == []


def test_what_runs_may_enqueue_more(reinhardt_tasks: CapturedTasks) -> None:
    count_down.enqueue(3)
    assert [one.return_value for one in reinhardt_tasks.drain()] == [3, 2, 1, 0]


def test_priorities_decide_as_they_do_elsewhere(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue("late")
    note.using(priority=10).enqueue("early")
    reinhardt_tasks.drain()
    assert noted == ["early", "late"]


def test_one_queue_alone_may_be_drained(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    send.enqueue("a")
    assert len(reinhardt_tasks.drain(queue_name="emails")) == 1
    assert noted == ["a"]


def test_every_alias_is_drained(reinhardt_tasks: CapturedTasks, settings: Any) -> None:
    database = "reinhardt_tasks.backends.DatabaseBackend"
    settings.TASKS = {"default": {"BACKEND": database, "QUEUES": []}, "other": {"BACKEND": database, "QUEUES": []}}
    note.enqueue(1)
    note.using(backend="other").enqueue(2)
    assert {one.backend for one in reinhardt_tasks.drain()} == {"default", "other"}
    assert sorted(noted) == [1, 2]


def test_a_retry_is_run_at_once_and_its_delay_skipped(reinhardt_tasks: CapturedTasks) -> None:
    before = reinhardt_tasks.now
    succeed_at.enqueue(3)
    [ran] = reinhardt_tasks.drain()
    assert (ran.return_value, ran.attempts, len(ran.errors)) == (3, 3, 2)
    assert reinhardt_tasks.now - before < timedelta(minutes=10)


def test_a_retrys_delay_is_kept_where_that_is_wanted(reinhardt_tasks: CapturedTasks) -> None:
    result = succeed_at.enqueue(2)
    assert [one.state for one in reinhardt_tasks.drain(retries=False)] == [TaskStatus.RETRY]
    reinhardt_tasks.travel(timedelta(minutes=9))
    assert reinhardt_tasks.drain(retries=False) == []
    reinhardt_tasks.travel(timedelta(minutes=1))
    reinhardt_tasks.drain(retries=False)
    result.refresh()
    assert result.return_value == 2
    assert result.started_at < result.finished_at


def test_a_failure_is_raised_with_its_exception(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    fail.enqueue("so bad")
    note.enqueue(2)
    with pytest.raises(TasksFailed) as caught:
        reinhardt_tasks.drain()
    assert noted == [1, 2]
    assert "1 of 3 tasks failed for good" in str(caught.value)
    assert "tests.testing.chores.fail('so bad') after 1 attempt: ValueError: so bad" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert [one.state for one in caught.value.results] == [TaskStatus.FAILURE]


def test_the_sentence_tells_the_exception_and_not_the_last_line_of_its_words(reinhardt_tasks: CapturedTasks) -> None:
    fail.enqueue("one\nanother")
    with pytest.raises(TasksFailed, match="after 1 attempt: ValueError: one$"):
        reinhardt_tasks.drain()


def test_several_failures_are_raised_as_a_group(reinhardt_tasks: CapturedTasks) -> None:
    fail.enqueue("one")
    fail.enqueue("two")
    with pytest.raises(TasksFailed) as caught:
        reinhardt_tasks.drain()
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert [str(exc) for exc in caught.value.__cause__.exceptions] == ["one", "two"]


def test_failures_are_only_told_where_that_is_wanted(reinhardt_tasks: CapturedTasks) -> None:
    succeed_at.enqueue(9)
    [ran] = reinhardt_tasks.drain(raise_failures=False)
    assert (ran.state, ran.attempts) == (TaskStatus.FAILURE, 3)


def test_what_has_no_end_is_ended(reinhardt_tasks: CapturedTasks) -> None:
    go_on_for_ever.enqueue()
    with pytest.raises(AssertionError, match=r"has run 50 tasks.*go_on_for_ever 50 times.*limit"):
        reinhardt_tasks.drain(limit=50)


def test_what_is_for_later_waits_until_time_has_moved(reinhardt_tasks: CapturedTasks) -> None:
    note.using(run_after=timedelta(hours=1)).enqueue("later")
    assert reinhardt_tasks.drain() == []
    reinhardt_tasks.travel(timedelta(hours=1))
    note.using(run_after=timedelta(hours=1)).enqueue("later still")
    reinhardt_tasks.drain()
    assert noted == ["later"]
    reinhardt_tasks.travel(reinhardt_tasks.now + timedelta(hours=1))
    reinhardt_tasks.drain()
    assert noted == ["later", "later still"]


def test_what_a_rate_holds_back_waits_too(reinhardt_tasks: CapturedTasks) -> None:
    note_slowly.enqueue(1)
    note_slowly.enqueue(2)
    assert len(reinhardt_tasks.drain()) == 1
    reinhardt_tasks.travel(timedelta(minutes=1))
    assert len(reinhardt_tasks.drain()) == 1
    assert noted == [1, 2]


def test_djangos_clock_goes_along_and_comes_back() -> None:
    with captured_tasks() as tasks:
        tasks.travel(timedelta(days=400))
        tell_time.enqueue()
        [ran] = tasks.drain()
        ahead = datetime.fromisoformat(ran.return_value) - datetime.now(UTC)
        assert timedelta(days=399) < ahead < timedelta(days=401)
    assert timezone.now() - datetime.now(UTC) < timedelta(days=1)


@pytest.mark.django_db
def test_whoever_holds_djangos_clock_goes_along() -> None:
    with captured_tasks() as tasks:
        tasks.travel(timedelta(days=400))
        with captured_tasks() as inner:
            inner.travel(timedelta(days=400))
            assert timedelta(days=799) < now() - datetime.now(UTC) < timedelta(days=801)
        user = User.objects.create_user("ada")
        for moment in (now(), user.date_joined):
            assert timedelta(days=399) < moment - datetime.now(UTC) < timedelta(days=401)
    assert now() - datetime.now(UTC) < timedelta(days=1)


def test_a_moment_that_is_made_by_djangos_name_is_a_datetime(reinhardt_tasks: CapturedTasks) -> None:
    reinhardt_tasks.travel(timedelta(days=400))
    made: Any = timezone
    assert type(made.datetime(2026, 1, 1, tzinfo=UTC)) is type(made.datetime.now(UTC)) is datetime


def test_templates_know_a_moment_after_a_journey(reinhardt_tasks: CapturedTasks) -> None:
    reinhardt_tasks.travel(timedelta(days=400))
    with timezone.override("Asia/Tokyo"):
        noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
        assert Template("{{ noon|time:'H:i' }}").render(Context({"noon": noon})) == "21:00"


def test_a_clock_that_somebody_else_has_put_in_djangos_place_stays(reinhardt_tasks: CapturedTasks) -> None:
    with mock.patch.object(timezone, "now", lambda: reinhardt_tasks):
        reinhardt_tasks.travel(timedelta(days=400))
        assert timezone.now() is reinhardt_tasks


def test_time_moves_forward_only(reinhardt_tasks: CapturedTasks) -> None:
    with pytest.raises(ValueError, match="forward only"):
        reinhardt_tasks.travel(timedelta(seconds=-1))
    with pytest.raises(ValueError, match="time zone"):
        reinhardt_tasks.travel(datetime(2099, 1, 1))


def test_waiting_for_what_nobody_runs_is_refused_and_not_after_it_has_run(reinhardt_tasks: CapturedTasks) -> None:
    result = note.enqueue(1)
    with pytest.raises(RuntimeError, match="Drain before"):
        result.wait(timeout=1)
    reinhardt_tasks.drain()
    assert result.wait(timeout=1).return_value == 1


def test_signals_are_sent_as_by_a_worker(reinhardt_tasks: CapturedTasks) -> None:
    heard: list[str] = []

    def hear(sender: type, signal: Any, **facts: Any) -> None:
        heard.append(f"{sender.__name__} {'retried' if signal is task_retried else 'finished'}")

    task_retried.connect(hear)
    task_finished.connect(hear)
    try:
        succeed_at.enqueue(2)
        reinhardt_tasks.drain()
    finally:
        task_retried.disconnect(hear)
        task_finished.disconnect(hear)
    assert heard == ["DatabaseBackend retried", "DatabaseBackend finished"]


def test_a_coroutine_is_drained_from_ordinary_code(reinhardt_tasks: CapturedTasks) -> None:
    anote.enqueue(1)
    assert reinhardt_tasks.drain()[0].state is TaskStatus.SUCCESS


def test_coroutines_run_in_the_loop_that_drains(reinhardt_tasks: CapturedTasks) -> None:
    async def drain() -> list[Any]:
        await anote.aenqueue(1)
        await note.aenqueue(2)
        await fail.aenqueue("no")
        return await reinhardt_tasks.adrain(raise_failures=False)

    ran = asyncio.run(drain())
    assert [one.state for one in ran] == [TaskStatus.SUCCESS, TaskStatus.SUCCESS, TaskStatus.FAILURE]
    assert ran[0].return_value == threading.current_thread().name
    assert noted == [1, 2]


def test_what_other_threads_enqueue_is_captured_too(reinhardt_tasks: CapturedTasks) -> None:
    thread = threading.Thread(target=note.enqueue, args=[1])
    thread.start()
    thread.join()
    reinhardt_tasks.assert_enqueued(note)
    reinhardt_tasks.drain()
    assert noted == [1]


def test_a_capture_ends_and_leaves_nothing() -> None:
    with captured_tasks() as tasks:
        note.enqueue(1)
    with captured_tasks() as later:
        later.assert_nothing_enqueued()
        assert later.drain() == []
    assert [one.args for one in tasks.enqueued()] == [[1]]
    assert chores.noted == []


def test_a_capture_inside_of_another_begins_with_what_waits_there() -> None:
    with captured_tasks() as outer:
        note.enqueue(1)
        for _ in range(2):
            with captured_tasks() as inner:
                inner.assert_enqueued(note, count=1)
                inner.drain()
                note.enqueue(2)
        outer.assert_enqueued(note, count=1)
    assert noted == [1, 1]


@pytest.mark.parametrize("outbox", [False, True])
def test_a_redis_alias_is_captured_without_a_redis(reinhardt_tasks: CapturedTasks, settings: Any, outbox: bool) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "reinhardt_tasks.backends.RedisBackend",
            "QUEUES": ["default"],
            "OPTIONS": {"URL": "redis://127.0.0.1:1/0", "OUTBOX": outbox},
        }
    }
    result = note.enqueue(1)

    async def send_another() -> Any:
        return await (await note.aenqueue(2)).arefresh()

    asyncio.run(send_another())
    reinhardt_tasks.drain()
    result.refresh()
    assert result.return_value == 1
    assert noted == [1, 2]
    chores.make_group_atomically.enqueue("a")
    with pytest.raises(TasksFailed, match="atomic=True needs a database backend"):
        reinhardt_tasks.drain()
