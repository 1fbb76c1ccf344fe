"""Celery's `shared_task` over this package: what is the same, what is refused."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from reinhardt_tasks import CronSchedule, TaskChain, TaskPriority, previous_result, scheduled, step
from reinhardt_tasks._compat import InvalidTask
from reinhardt_tasks.contrib.celery import AsyncResult, SharedTask, SoftTimeLimitExceeded, shared_task
from reinhardt_tasks.exception_text import class_path
from reinhardt_tasks.exceptions import (
    DuplicateTask,
    ExecutionFailed,
    MaxRetriesExceeded,
    TaskCancelled,
    TaskTimeout,
)
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.operations import Store
from reinhardt_tasks.registry import registry
from reinhardt_tasks.schedules import declared
from reinhardt_tasks.signals import task_retried
from reinhardt_tasks.testing import CapturedTasks
from tests.backends.working import work_off
from tests.operations.stores import database_store

from . import celery_chores as chores
from .celery_chores import Down, add, ask_again, ask_at, chase, fail, fetch, on, poll, seen, send, wrongly

__all__ = ["database_store"]


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    seen.clear()
    yield


@pytest.fixture
def delays() -> Iterator[list[float]]:
    """The delays before retries, as they are told."""
    told: list[float] = []

    def tell(delay: float, **kwargs: Any) -> None:
        told.append(round(delay, 1))

    task_retried.connect(tell)
    yield told
    task_retried.disconnect(tell)


def function(self: Any = None) -> None:
    pass


# Calling


def test_a_delayed_task_gives_its_result(reinhardt_tasks: CapturedTasks) -> None:
    result = add.delay(1, b=2)
    assert (result.state, result.ready(), result.successful(), result.result) == ("PENDING", False, False, None)
    reinhardt_tasks.drain()
    assert (result.state, result.status, result.ready(), result.successful()) == ("SUCCESS", "SUCCESS", True, True)
    assert result.get(timeout=1) == result.result == 3
    assert AsyncResult(result.id).get() == 3


def test_it_is_called_like_the_function(reinhardt_tasks: CapturedTasks) -> None:
    assert add(1, b=2) == 3
    assert send("ada") == "ada"
    assert seen == [(None, 0, [], {})]
    reinhardt_tasks.assert_nothing_enqueued()


def test_apply_async_says_when_and_where(reinhardt_tasks: CapturedTasks) -> None:
    eta = datetime.now(UTC) + timedelta(days=2)
    add.apply_async((1,), {"b": 2}, queue="emails", priority=TaskPriority(9))
    add.apply_async(args=[3], countdown=60)
    add.apply_async([4], eta=eta)
    first, second, third = reinhardt_tasks.enqueued(add)
    assert (first.args, first.kwargs, first.task.queue_name, first.task.priority) == ([1], {"b": 2}, "emails", 100)
    assert second.task.run_after is not None
    assert timedelta(seconds=50) < second.task.run_after - datetime.now(UTC) <= timedelta(seconds=60)
    assert (third.state, third.task.run_after) == (TaskStatus.SCHEDULED, eta)


@pytest.mark.django_db(transaction=True)
def test_on_commit_is_at_the_commit(reinhardt_tasks: CapturedTasks) -> None:
    with transaction.atomic():
        add.delay_on_commit(1)
        add.apply_async_on_commit((2,), queue="emails")
        reinhardt_tasks.assert_nothing_enqueued()
    assert [(one.args, one.task.queue_name) for one in reinhardt_tasks.enqueued()] == [
        ([1], "default"),
        ([2], "emails"),
    ]


def test_the_place_is_the_decorators(reinhardt_tasks: CapturedTasks) -> None:
    send.delay("ada")
    reinhardt_tasks.assert_enqueued(send, queue_name="emails")


def test_a_name_of_its_own_is_an_alias() -> None:
    assert registry.get("shop.send-mail") is send
    assert registry.get(f"{chores.__name__}.send") is send


def test_it_can_be_scheduled_and_pickled() -> None:
    scheduled(CronSchedule("0 3 * * *"), name="of celery", args=[1])(add)
    declared.unregister("of celery")
    for task in (add, send):
        assert pickle.loads(pickle.dumps(task.using(priority=3))) == task.using(priority=3)


# self


def test_self_knows_its_request(reinhardt_tasks: CapturedTasks) -> None:
    result = send.apply_async(kwargs={"to": "ada"})
    reinhardt_tasks.drain()
    assert seen == [(result.id, 0, [], {"to": "ada"})]
    assert result.get() == "ada"


def test_self_can_enqueue_itself(reinhardt_tasks: CapturedTasks) -> None:
    chase.delay(2)
    assert [one.return_value for one in reinhardt_tasks.drain()] == [2, 1, 0]


def test_arguments_are_checked_and_converted_beside_self(reinhardt_tasks: CapturedTasks) -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        send.delay("ada", "bob")
    on.delay(date(2031, 1, 15))
    assert [one.return_value for one in reinhardt_tasks.drain()] == ["Wednesday"]


def test_self_asks_for_another_attempt_until_none_is_left(reinhardt_tasks: CapturedTasks, delays: list[float]) -> None:
    result = ask_again.delay()
    reinhardt_tasks.drain(raise_failures=False)
    assert seen == [0, 1, 2]
    assert delays == [30, 30]
    assert result.state == "FAILURE"
    # What was handed over, not that there is no attempt left.
    assert isinstance(result.result, ExecutionFailed) and "Down: still" in str(result.result)


def test_the_delay_may_be_said_each_time(reinhardt_tasks: CapturedTasks, delays: list[float]) -> None:
    ask_again.delay(countdown=5)
    ask_at.delay()
    reinhardt_tasks.drain(raise_failures=False)
    assert delays.count(5) == 2
    assert 3590 < max(delays) <= 3600


def test_without_an_exception_to_raise_it_says_that_none_is_left(reinhardt_tasks: CapturedTasks) -> None:
    ask_at.delay()
    [ran] = reinhardt_tasks.drain(raise_failures=False)
    assert seen == ["over"]
    assert ran.errors[-1].exception_class_path == class_path(MaxRetriesExceeded)


def test_called_directly_it_raises_what_it_has() -> None:
    with pytest.raises(Down, match="still"):
        ask_again()


@pytest.mark.parametrize(
    ("how", "words"),
    [("args", "the same arguments"), ("max_retries", "in the decorator"), ("update_state", "progress")],
)
def test_what_self_has_not_is_said(reinhardt_tasks: CapturedTasks, how: str, words: str) -> None:
    wrongly.delay(how)
    [ran] = reinhardt_tasks.drain(raise_failures=False)
    assert words in ran.errors[-1].traceback
    assert ran.attempts == 1


# Retries


def test_what_is_not_asked_for_is_not_retried(reinhardt_tasks: CapturedTasks) -> None:
    result = fail.delay()
    reinhardt_tasks.drain(raise_failures=False)
    assert seen == ["fail"]
    assert (result.state, result.failed(), result.ready()) == ("FAILURE", True, True)
    with pytest.raises(ExecutionFailed, match="the bank is down"):
        result.get()
    assert result.traceback is not None and "Down" in result.traceback


def test_a_backoff_doubles(reinhardt_tasks: CapturedTasks, delays: list[float]) -> None:
    fetch.delay()
    reinhardt_tasks.drain(raise_failures=False)
    assert seen == ["fetch"] * 4
    assert delays == [10, 20, 40]


def test_a_backoffs_other_words_are_taken() -> None:
    made = shared_task(autoretry_for=(OSError,), retry_backoff=True, retry_backoff_max=99)(function)
    assert (made.backoff.initial_delay, made.backoff.max_delay, made.backoff.jitter) == (1, 99, True)
    plain = shared_task(autoretry_for=(OSError,))(function)
    assert (plain.backoff.initial_delay, plain.backoff.multiplier, plain.max_attempts) == (180, 1, 4)
    assert shared_task(autoretry_for=(OSError,), retry_backoff=True)(function).backoff.max_delay == 600


def test_exceptions_can_be_left_out(reinhardt_tasks: CapturedTasks) -> None:
    fetch.delay(for_good=True)
    reinhardt_tasks.drain(raise_failures=False)
    assert seen == ["fetch"]


def test_retry_kwargs_win(reinhardt_tasks: CapturedTasks, delays: list[float]) -> None:
    poll.delay()
    reinhardt_tasks.drain(raise_failures=False)
    assert (seen, delays) == (["poll"] * 2, [7])


def test_a_lost_worker_is_no_failure_of_the_tasks_own(reinhardt_tasks: CapturedTasks) -> None:
    result = ask_again.delay()
    with reinhardt_tasks.kill_after_claim(ask_again):
        reinhardt_tasks.drain(raise_failures=False)
    assert seen == [0, 1, 2]
    assert result.state == "FAILURE"


# Results


def test_states_have_celerys_names(reinhardt_tasks: CapturedTasks) -> None:
    ask = ask_again.delay()
    reinhardt_tasks.drain(retries=False)
    assert ask.state == "RETRY"
    later = add.apply_async((1,), countdown=60)
    assert later.state == "PENDING"
    assert later.revoke() is True
    assert (later.state, later.ready(), later.failed()) == ("REVOKED", True, False)
    with pytest.raises(TaskCancelled):
        later.get()
    assert isinstance(later.get(propagate=False), TaskCancelled)


def test_one_that_nobody_knows_is_pending_for_ever_and_is_not_waited_for(reinhardt_tasks: CapturedTasks) -> None:
    nobodys = AsyncResult("0197b7a2-0000-7000-8000-000000000000")
    assert (nobodys.state, nobodys.ready(), nobodys.traceback) == ("PENDING", False, None)
    with pytest.raises(Exception, match="0197b7a2"):
        nobodys.get()


def test_a_result_that_does_not_come_is_a_timeout(database_store: Store) -> None:
    with pytest.raises(TimeoutError):
        add.delay(1).get(timeout=0)


def test_they_are_steps_of_workflows(database_store: Store) -> None:
    run = TaskChain("sum", [step(add, 1, b=2), step(add, previous_result, b=4)]).start()
    for _step in range(2):
        work_off(database_store.backend)
    run.refresh()
    assert run.return_value == 7


def test_it_works_where_tasks_run_at_once(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}
    assert add.delay(1).get() == 2
    assert ask_again.delay().failed()
    assert seen == [0, 1, 2]


# Options


def test_time_limits_become_the_timeout() -> None:
    assert shared_task(soft_time_limit=5, time_limit=9)(function).timeout == 5
    assert shared_task(time_limit=9)(function).timeout == 9
    assert SoftTimeLimitExceeded is TaskTimeout


def test_a_rate_is_one_here() -> None:
    made = shared_task(rate_limit=10)(function)
    assert made.rate_limit == shared_task(rate_limit="10/s")(function).rate_limit
    assert made.rate_limit is not None


def test_what_is_so_anyway_may_be_said() -> None:
    made = shared_task(acks_late=True, ignore_result=True, serializer="json", track_started=True, throws=(OSError,))
    assert isinstance(made(function), SharedTask)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"acks_late": False}, "acks_late=False has no counterpart here: a task is acknowledged when it has ended"),
        ({"serializer": "pickle"}, "JSON"),
        ({"reject_on_worker_lost": False}, "always runs again"),
        ({"base": object}, "tasks are functions"),
        ({"expires": 60}, "nothing expires"),
        ({"max_retries": None}, "give a number"),
        ({"max_retries": -1}, "0 or more"),
        ({"retry_kwargs": {"queue": "x"}}, "not 'queue'"),
        ({"priority": 3}, "TaskPriority"),
        ({"name": "mail"}, "needs a dot"),
        ({"max_retry": 3}, "did you mean 'max_retries'"),
        ({"unique": True}, "@task"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words.replace("?", r"\?")):
        shared_task(**options)(function)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"expires": 60}, "nothing expires"),
        ({"link": add}, "TaskChain"),
        ({"task_id": "7"}, "ids are made here"),
        ({"priority": 3}, "TaskPriority"),
        ({"countdown": 1, "eta": datetime.now(UTC)}, "not both"),
        ({"eta": datetime(2031, 1, 1)}, "time zone"),
        ({"max_retries": 3}, "in the decorator"),
        ({"ques": "x"}, "did you mean 'queue'"),
    ],
)
def test_a_call_is_refused_too(reinhardt_tasks: CapturedTasks, options: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words.replace("?", r"\?")):
        add.apply_async((1,), **options)
    reinhardt_tasks.assert_nothing_enqueued()


def test_signatures_are_not_there_and_say_what_is() -> None:
    for name in ("s", "si", "signature", "chunks"):
        with pytest.raises(AttributeError, match="TaskChain"):
            getattr(add, name)
    with pytest.raises(AttributeError, match="testing"):
        add.apply((1,))


def test_coroutines_methods_and_functions_without_self_are_refused() -> None:
    async def coroutine() -> None: ...

    with pytest.raises(TypeError, match="@task"):
        shared_task(coroutine)
    with pytest.raises(TypeError, match="no argument for self"):
        shared_task(bind=True)(nothing)
    with pytest.raises(InvalidTask):
        shared_task(lambda: None)


def nothing() -> None: ...


def test_two_bound_tasks_of_one_name_are_seen() -> None:
    one, other = function, nothing
    first = shared_task(bind=True)(one)
    second = type(other)(function.__code__.replace(co_firstlineno=9999), {}, "function")
    second.__module__, second.__qualname__ = one.__module__, one.__qualname__
    try:
        with pytest.raises(DuplicateTask):
            shared_task(bind=True)(second)
    finally:
        registry.unregister(first.module_path)


def test_celery_is_not_needed() -> None:
    import subprocess

    words = "import sys; sys.modules['celery'] = None; import reinhardt_tasks.contrib.celery.options"
    subprocess.run(
        [sys.executable, "-c", f"import django.conf; django.conf.settings.configure(); {words}"], check=True, timeout=60
    )
