"""Whatever a task does, and whatever surrounds it: its job has an outcome, and what ran it runs the next."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from reinhardt_tasks import execution
from reinhardt_tasks._compat import task_finished, task_started
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.followers import FOLLOWERS
from reinhardt_tasks.jobs import Job, TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from tests.servers import wait_until

from .misdeeds import (
    DEEDS,
    HEADER,
    LOOP_DEEDS,
    PROBLEMS,
    SURROUNDINGS,
    Follower,
    behave,
    behave_later,
    fail,
    fail_later,
    misbehave,
    misbehave_later,
    misuse_the_loop,
)
from .running import AT_ONCE, QUICK_LEASE, SOON, Door, ended, enqueued, job_for, working

ONCE = BackendOptions(max_attempts=1, lease=QUICK_LEASE)
TWICE = BackendOptions(max_attempts=2, backoff=AT_ONCE)
IN_THREAD, IN_LOOP = False, True
BOTH = pytest.mark.parametrize("is_async", [IN_THREAD, IN_LOOP], ids=["thread", "loop"])
ODD = ["ValueError", "SystemExit", "StopIteration", "CancelledError", "MemoryError", "Unheard", "Veiled"]

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given up is run again at once."""
    monkeypatch.setattr("reinhardt_tasks.retries.RetryStrategy.calculate_delay", lambda self, attempt: 0.0)
    monkeypatch.setattr("reinhardt_tasks.followers.UNKNOWN_DELAY", 0.0)


def goes_on(broker: MemoryBroker, is_async: bool) -> None:
    (next_,) = ended(broker, enqueued(broker, behave_later if is_async else behave))
    assert next_.status is TaskStatus.SUCCESS
    assert next_.result == ('"reinhardt-loop"' if is_async else '"reinhardt-task-0"')


@BOTH
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_a_task_does_it_has_an_outcome(broker: MemoryBroker, deed: str, problem: str, is_async: bool) -> None:
    with working(broker, ONCE, concurrency=1, async_concurrency=1):
        (done,) = ended(broker, enqueued(broker, misbehave_later if is_async else misbehave, deed, problem))
        goes_on(broker, is_async)
    # Neither what it left in its metadata nor a line of its log decides whether it has succeeded.
    is_harmless = (
        deed == "raise_it_from_its_notes" or deed == "raise_it_from_its_log" and problem != "KeyboardInterrupt"
    )
    assert done.status is (TaskStatus.SUCCESS if is_harmless else TaskStatus.FAILURE)
    assert len(done.history) == (0 if is_harmless else 1)


@BOTH
@pytest.mark.parametrize("problem", ODD)
@pytest.mark.parametrize("place", SURROUNDINGS)
def test_whatever_surrounds_a_task_it_has_an_outcome(
    broker: MemoryBroker, place: str, problem: str, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = place == "a_receiver_of_a_retry"
    task_ = {IN_THREAD: (behave, fail), IN_LOOP: (behave_later, fail_later)}[is_async][fails]
    job = replace(job_for(task_.using(timeout=600)), payload=json.dumps([[], {}, {HEADER: 1, "timeout": 600}]))
    with (
        SURROUNDINGS[place](PROBLEMS[problem](), monkeypatch),
        working(broker, TWICE, concurrency=1, async_concurrency=1),
    ):
        (done,) = ended(broker, *broker.enqueue([job]))
        goes_on(broker, is_async)
    if fails:
        assert [attempt.exception for attempt in done.history] == ["builtins.ValueError"] * 2
    elif place != "a_carrier_that_unpacks":
        # One that cannot be read fails a task for good, where it raises an Exception.
        assert done.status is TaskStatus.SUCCESS
    if place in ("a_receiver_of_the_start", "a_receiver_of_the_end", "tidying_up"):
        assert done.history == ()


@pytest.mark.parametrize("deed", LOOP_DEEDS)
def test_whatever_a_coroutine_does_to_its_loop_it_has_an_outcome(broker: MemoryBroker, deed: str) -> None:
    with working(broker, TWICE, concurrency=1, async_concurrency=3):
        jobs = [enqueued(broker, misuse_the_loop, deed), *(enqueued(broker, behave_later) for _ in range(20))]
        first, *others = ended(broker, *jobs)
        # What was to cancel it came too late, and is not held against it.
        assert first.history == () or deed != "cancel_itself"
        assert {job.status for job in others} == {TaskStatus.SUCCESS}
        goes_on(broker, IN_LOOP)


@BOTH
@pytest.mark.parametrize("unable", ["fail", "fail cleaner"])
def test_what_is_given_up_is_run_again_as_often_as_it_may(
    broker: MemoryBroker, unable: str, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError("no room for anything")

    with working(broker, BackendOptions(max_attempts=3), concurrency=1):
        with monkeypatch.context() as patch:
            patch.setattr("reinhardt_tasks.execution.decode_call", refuse)
            for name in unable.split():
                patch.setattr(f"reinhardt_tasks.execution.Execution.{name}", refuse)
            (done,) = ended(broker, enqueued(broker, behave_later if is_async else behave))
        goes_on(broker, is_async)
    assert done.status is TaskStatus.FAILURE
    assert [attempt.exception for attempt in done.history] == ["builtins.MemoryError"] * 3
    assert "no room for anything" in done.history[0].traceback


@BOTH
@pytest.mark.parametrize("timeout", ['"soon"', "NaN", "[]", "true", pytest.param(f"1{'0' * 400}", id="huge")])
def test_a_stored_timeout_that_is_no_number_fails_its_task(broker: MemoryBroker, timeout: str, is_async: bool) -> None:
    task_ = behave_later if is_async else behave
    with working(broker, ONCE, concurrency=1):
        job = replace(job_for(task_), payload=f'[[],{{}},{{"timeout":{timeout}}}]')
        (done,) = ended(broker, *broker.enqueue([job]))
        goes_on(broker, is_async)
    assert done.status is TaskStatus.FAILURE
    assert "damaged" in done.history[0].traceback


def test_a_line_that_cannot_be_logged_costs_the_worker_nothing(broker: MemoryBroker) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        if "failed for good" in record.msg:
            raise ValueError("no room for this line")
        return True

    logger = logging.getLogger("reinhardt_tasks")
    logger.addFilter(refuse)
    try:
        with working(broker, ONCE, concurrency=1):
            (done,) = ended(broker, enqueued(broker, fail))
            goes_on(broker, IN_THREAD)
    finally:
        logger.removeFilter(refuse)
    assert done.status is TaskStatus.FAILURE


# Stopped while its own code does not run


class Stage:
    """A place at which an execution waits, outside of its task's code, until it has been stopped."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.go = threading.Event()

    def wait(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_there.is_set():
            self.is_there.set()
            deadline = time.monotonic() + SOON
            while not self.go.is_set() and time.monotonic() < deadline:
                time.sleep(0.001)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.go.set()


ran: list[str] = []


@task(timeout=600)
def note_it() -> str:
    ran.append("it")
    return "done"


@task(timeout=600)
async def note_it_later() -> str:
    ran.append("it")
    return "done"


def stopped(broker: MemoryBroker, stage: Stage, task_: Any, cancel: Callable[[list[str]], Any]) -> Job:
    """Return what becomes of a job that is stopped while it waits on the stage."""
    ran.clear()
    job = replace(job_for(task_), payload=json.dumps([[], {}, {HEADER: 1, "timeout": task_.timeout}]))
    is_async = job.is_async
    with working(broker, ONCE, concurrency=1, async_concurrency=1) as worker:
        broker.enqueue([job])
        assert stage.is_there.wait(SOON)
        execution = worker._running[job.id]
        cancel([job.id])
        wait_until(lambda: execution.stopped_by is not None, "it is told to stop", timeout=SOON)
        stage.go.set()
        (done,) = ended(broker, job)
        goes_on(broker, is_async)
        assert worker._crew.coroutines() == []
    return done


@pytest.mark.parametrize("can_fail", [True, False], ids=["", "by the claim alone"])
def test_a_task_that_is_cancelled_while_it_is_read_is_cancelled(
    broker: MemoryBroker, stage: Stage, can_fail: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode_call = execution.decode_call

    def slowly(payload: str) -> Any:
        stage.wait()
        return decode_call(payload)

    def refuse(*args: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("reinhardt_tasks.execution.decode_call", slowly)
    if not can_fail:
        monkeypatch.setattr("reinhardt_tasks.execution.Execution.fail", refuse)
    done = stopped(broker, stage, note_it, broker.cancel)
    assert done.status is TaskStatus.CANCELLED
    assert done.history[0].exception == "reinhardt_tasks.exceptions.TaskCancelled"
    assert ran == []


@BOTH
def test_a_task_that_is_cancelled_while_its_follower_is_asked_does_not_run(
    broker: MemoryBroker, stage: Stage, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FOLLOWERS, HEADER, Follower(stage.wait, stage.go.is_set))
    done = stopped(broker, stage, note_it_later if is_async else note_it, broker.cancel)
    assert done.status is TaskStatus.CANCELLED
    assert ran == []


@BOTH
def test_a_task_that_is_cancelled_while_its_start_is_told_does_not_run(
    broker: MemoryBroker, stage: Stage, is_async: bool
) -> None:
    with heard(task_started, stage.wait):
        done = stopped(broker, stage, note_it_later if is_async else note_it, broker.cancel)
    assert done.status is TaskStatus.CANCELLED
    assert ran == []


def test_a_coroutine_that_ended_in_time_is_not_stopped_while_that_is_told(broker: MemoryBroker, stage: Stage) -> None:
    with heard(task_finished, stage.wait):
        done = stopped(broker, stage, note_it_later.using(timeout=0.1), lambda ids: None)
    assert done.status is TaskStatus.SUCCESS
    assert done.result == '"done"'


def test_a_coroutine_that_is_cancelled_while_its_end_is_told_is_cancelled(broker: MemoryBroker, stage: Stage) -> None:
    with heard(task_finished, stage.wait):
        done = stopped(broker, stage, note_it_later, broker.cancel)
    assert done.status is TaskStatus.CANCELLED
    # It had no time to fail.
    assert done.history == ()


def test_a_function_that_is_cancelled_while_its_end_is_told_is_cancelled(broker: MemoryBroker, stage: Stage) -> None:
    with heard(task_finished, stage.wait):
        assert stopped(broker, stage, note_it, broker.cancel).status is TaskStatus.CANCELLED


class heard:
    """Has a receiver hear a signal for a while."""

    def __init__(self, signal: Any, receiver: Callable[..., None]) -> None:
        self.signal, self.receiver = signal, receiver

    def __enter__(self) -> None:
        self.signal.connect(self.receiver, sender=Door, weak=False)

    def __exit__(self, *exc_info: object) -> None:
        self.signal.disconnect(self.receiver, sender=Door)
