"""What a caller gets back: the widened TaskResult."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks import results
from reinhardt_tasks._compat import TaskResult as CoreTaskResult
from reinhardt_tasks._compat import TaskResultStatus
from reinhardt_tasks.jobs import Attempt, Job, TaskStatus
from reinhardt_tasks.results import TaskResult, enqueued_result, result_of

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
THE_ID = "018f3f1e-6b2a-7c3d-9e4f-5a6b7c8d9e0f"


def attempt(worker: str, *, lost: bool = False) -> Attempt:
    return Attempt(
        worker=worker,
        started_at=NOON,
        finished_at=NOON,
        exception="builtins.ValueError",
        traceback="ValueError: no",
        lost=lost,
    )


def job(**values: Any) -> Job:
    return Job(**{"id": THE_ID, "name": "app.tasks.add", "payload": '[[1],{"b":2}]', "backend": "default", **values})


class Backend:
    """A backend whose one job goes through the given states, one for each look."""

    hopeless: str | None = None

    def __init__(self, *states: Job) -> None:
        self.states = list(states)
        self.cancelled: list[str] = []

    @property
    def task(self) -> Any:
        return StubTask(self)

    def get_result(self, result_id: str) -> TaskResult[Any]:
        assert result_id == THE_ID
        return result_of(self.states.pop(0) if len(self.states) > 1 else self.states[0], self.task)

    async def aget_result(self, result_id: str) -> TaskResult[Any]:
        return self.get_result(result_id)

    def cancel(self, ids: list[str]) -> list[str]:
        self.cancelled += ids
        return [] if self.states[0].status.is_finished else ids

    async def acancel(self, ids: list[str]) -> list[str]:
        return self.cancel(ids)

    def why_waiting_is_hopeless(self) -> str | None:
        return self.hopeless


class StubTask:
    module_path = "app.tasks.add"

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def get_backend(self) -> Backend:
        return self.backend


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, pause: float) -> None:
        self.slept.append(pause)
        self.now += pause

    async def asleep(self, pause: float) -> None:
        self.sleep(pause)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(results.time, "monotonic", clock.monotonic)
    monkeypatch.setattr(results.time, "sleep", clock.sleep)
    with monkeypatch.context() as patch:
        # The event loop goes by time.monotonic too, so only the sleep of results' own `asyncio` is replaced.
        patch.setattr(results, "asyncio", type("asyncio", (), {"sleep": staticmethod(clock.asleep)}))
        yield clock


# result_of


def test_a_fresh_job_is_a_result_that_is_ready() -> None:
    result = result_of(job(enqueued_at=NOON, metadata={"user": 1}), StubTask(Backend()))
    assert isinstance(result, CoreTaskResult)
    assert (result.id, result.backend, result.args, result.kwargs) == (THE_ID, "default", [1], {"b": 2})
    assert (result.status, result.state) == (TaskResultStatus.READY, TaskStatus.PENDING)
    assert (result.enqueued_at, result.started_at, result.finished_at) == (NOON, None, None)
    assert (result.errors, result.worker_ids, result.attempts, result.failures) == ([], [], 0, 0)
    assert (result.metadata, result.progress, result.is_finished) == ({"user": 1}, None, False)
    with pytest.raises(ValueError, match="not finished"):
        result.return_value


@pytest.mark.parametrize("status", TaskStatus)
def test_a_result_has_djangos_status_and_ours(status: TaskStatus) -> None:
    result = result_of(job(status=status), StubTask(Backend()))
    assert (result.status, result.state) == (status.django, status)
    assert result.is_finished is status.is_finished


@pytest.mark.parametrize(("stored", "value"), [("null", None), ('{"a":[1,2.5]}', {"a": [1, 2.5]}), ('"text"', "text")])
def test_a_success_has_its_return_value(stored: str, value: Any) -> None:
    result = result_of(job(status=TaskStatus.SUCCESS, result=stored, worker="w1"), StubTask(Backend()))
    assert result.return_value == value
    assert result.worker_ids == ["w1"]


@pytest.mark.parametrize("status", [TaskStatus.FAILURE, TaskStatus.CANCELLED])
def test_a_failure_has_no_return_value(status: TaskStatus) -> None:
    result = result_of(job(status=status, result="1"), StubTask(Backend()))
    with pytest.raises(ValueError, match="failed"):
        result.return_value


def test_every_attempt_has_its_worker_and_its_error() -> None:
    first, last = NOON, NOON + timedelta(minutes=5)
    stored = job(
        status=TaskStatus.SUCCESS,
        history=(attempt("w1"), attempt("w2", lost=True)),
        worker="w3",
        result="3",
        first_started_at=first,
        started_at=last,
        finished_at=last,
    )
    result = result_of(stored, StubTask(Backend()))
    assert (result.worker_ids, result.attempts) == (["w1", "w2", "w3"], 3)
    assert (result.failures, result.losses) == (1, 1)
    assert [error.exception_class for error in result.errors] == [ValueError, ValueError]
    assert result.errors[0].traceback == "ValueError: no"
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (first, last, last)


def test_a_damaged_payload_shows_no_arguments_and_hides_no_result() -> None:
    result = result_of(job(payload="{", status=TaskStatus.SUCCESS, result="3"), StubTask(Backend()))
    assert (result.args, result.kwargs, result.return_value) == ([], {}, 3)


def test_a_results_metadata_is_its_own() -> None:
    stored = job(metadata={"user": 1})
    result_of(stored, StubTask(Backend())).metadata["user"] = 2
    assert stored.metadata == {"user": 1}


# enqueued_result

NEW = {"enqueued_at": NOON, "due_at": NOON, "metadata": {"user": 1}}


@pytest.mark.parametrize(
    "name",
    ["status", "state", "enqueued_at", "args", "kwargs", "errors", "metadata", "is_finished", "attempts", "losses"],
)
def test_what_a_caller_is_given_has_all_that_it_is_asked_for(name: str) -> None:
    stub = StubTask(Backend())
    given = enqueued_result(job(**NEW), stub)
    assert isinstance(given, TaskResult)
    assert getattr(given, name) == getattr(result_of(job(**NEW), stub), name)


@pytest.mark.parametrize("alike", [copy.copy, copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given)), replace])
def test_what_a_caller_is_given_equals_what_others_read_and_so_do_its_copies(alike: Any) -> None:
    stub = StubTask(Backend())
    given = enqueued_result(job(**NEW), stub)
    other = alike(enqueued_result(job(**NEW), stub))
    read = result_of(job(**NEW), other.task)
    assert repr(other) == repr(given) == repr(read)
    assert {item.name: getattr(other, item.name) for item in fields(other)} == {
        item.name: getattr(read, item.name) for item in fields(read)
    }
    assert given == result_of(job(**NEW), stub)


def test_what_a_caller_is_given_has_no_attribute_that_a_result_has_not() -> None:
    given = enqueued_result(job(**NEW), StubTask(Backend()))
    assert not hasattr(given, "colour")
    with pytest.raises(AttributeError, match="colour"):
        given.colour  # type: ignore[attr-defined]


def test_what_a_caller_is_given_is_refreshed_like_any_other() -> None:
    backend = Backend(job(**NEW, status=TaskStatus.RUNNING, started_at=NOON, worker="w1"))
    given = enqueued_result(job(**NEW), backend.task)
    given.refresh()
    assert (given.args, given.state, given.worker_ids) == ([1], TaskStatus.RUNNING, ["w1"])


def test_many_may_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread is in the middle of filling it in while others ask."""
    monkeypatch.setattr(results, "result_of", lambda *given: time.sleep(0.001) or result_of(*given))
    stub = StubTask(Backend())
    for _ in range(5):
        given = enqueued_result(job(**NEW), stub)
        barrier, found = threading.Barrier(4), []

        def ask(given: Any = given, barrier: threading.Barrier = barrier, found: list[Any] = found) -> None:
            barrier.wait()
            found.append((given.losses, given.args, given.progress))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [(0, [1], None)] * 4


# TaskResult


def test_refresh_shows_the_present_state() -> None:
    done = job(status=TaskStatus.SUCCESS, result="3", worker="w1", progress=(2, 2), metadata={"seen": True})
    backend = Backend(replace(done, history=(attempt("w0", lost=True),)))
    result = result_of(job(), backend.task)
    result.refresh()
    assert (result.status, result.state, result.return_value) == (TaskResultStatus.SUCCESSFUL, TaskStatus.SUCCESS, 3)
    assert (result.progress, result.metadata, result.losses) == ((2, 2), {"seen": True}, 1)
    assert result.worker_ids == ["w0", "w1"]


def test_arefresh_does_the_same() -> None:
    backend = Backend(job(status=TaskStatus.RUNNING, progress=(1, 2)))
    result = result_of(job(), backend.task)
    asyncio.run(result.arefresh())
    assert (result.state, result.progress) == (TaskStatus.RUNNING, (1, 2))


WAIT = [lambda result, timeout: result.wait(timeout), lambda result, timeout: asyncio.run(result.await_(timeout))]


@pytest.mark.parametrize("wait", WAIT, ids=["wait", "await_"])
def test_wait_returns_the_result_once_the_task_has_finished(wait: Any, clock: Clock) -> None:
    backend = Backend(job(), job(status=TaskStatus.RUNNING), job(status=TaskStatus.SUCCESS, result="3"))
    result = result_of(job(), backend.task)
    assert wait(result, None) is result
    assert result.return_value == 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize("wait", WAIT, ids=["wait", "await_"])
@pytest.mark.parametrize("timeout", [10, timedelta(seconds=10)])
def test_wait_ends_with_a_timeout_error_that_says_what_is_the_matter(timeout: Any, wait: Any, clock: Clock) -> None:
    result = result_of(job(), Backend(job(status=TaskStatus.RETRY)).task)
    with pytest.raises(TimeoutError, match=rf"Task {THE_ID} \(app\.tasks\.add\) is still RETRY after 10 s"):
        wait(result, timeout)
    assert sum(clock.slept) == pytest.approx(10)


def test_wait_looks_often_at_first_and_then_more_seldom(clock: Clock) -> None:
    with pytest.raises(TimeoutError):
        result_of(job(), Backend(job()).task).wait(60)
    assert clock.slept[0] <= 0.01
    *growing, _rest, nothing = clock.slept
    assert growing == sorted(growing) and nothing == 0.0
    assert max(clock.slept) == 0.25


def test_wait_looks_once_more_when_the_time_is_up(clock: Clock) -> None:
    backend = Backend(job(), job(), job(status=TaskStatus.SUCCESS, result="3"))
    assert result_of(job(), backend.task).wait(0.01).return_value == 3
    assert sum(clock.slept) == pytest.approx(0.01)


def test_wait_without_time_looks_once(clock: Clock) -> None:
    done = Backend(job(status=TaskStatus.FAILURE))
    assert result_of(job(), done.task).wait(0).state is TaskStatus.FAILURE
    with pytest.raises(TimeoutError):
        result_of(job(), Backend(job()).task).wait(0)
    assert sum(clock.slept) == 0


def test_wait_for_a_task_that_no_worker_can_see_is_refused_at_once(clock: Clock) -> None:
    backend = Backend(job())
    backend.hopeless = "the transaction has to commit first."
    with pytest.raises(RuntimeError, match=f"{THE_ID} would never end: the transaction has to commit first"):
        result_of(job(), backend.task).wait(1)
    assert clock.slept == []


def test_cancel_says_whether_it_took_effect() -> None:
    waiting, finished = Backend(job()), Backend(job(status=TaskStatus.SUCCESS))
    assert result_of(job(), waiting.task).cancel() is True
    assert result_of(job(), finished.task).cancel() is False
    assert asyncio.run(result_of(job(), waiting.task).acancel()) is True
    assert waiting.cancelled == [THE_ID, THE_ID]
