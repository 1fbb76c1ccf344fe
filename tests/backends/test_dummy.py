"""The dummy backend: every operation succeeds and nothing runs."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks._compat import InvalidTask, TaskResultDoesNotExist, TaskResultStatus, task_backends
from reinhardt_tasks.backends import DummyBackend
from reinhardt_tasks.exceptions import SerializationFailed
from reinhardt_tasks.jobs import TaskId, TaskStatus, new_id

from . import chores
from .chores import aadd, add, note


@pytest.fixture(autouse=True)
def backend(settings: Any) -> DummyBackend:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "QUEUES": ["default", "emails"]}}
    backend: DummyBackend = task_backends["default"]
    return backend


def test_enqueue_records_the_task_and_runs_nothing(backend: DummyBackend) -> None:
    chores.noted.clear()
    before = datetime.now(UTC)
    result = note.using(priority=3, queue_name="emails").enqueue([1], more=2)
    assert result.status is TaskResultStatus.READY
    assert result.state is TaskStatus.PENDING
    assert (result.args, result.kwargs) == ([[1]], {"more": 2})
    assert before <= result.enqueued_at <= datetime.now(UTC)
    assert (result.task.priority, result.task.queue_name) == (3, "emails")
    assert backend.results == [result]
    assert chores.noted == []


def test_what_is_kept_does_not_change_with_the_callers_copy(backend: DummyBackend) -> None:
    value = [1]
    result = note.enqueue(value)
    value.append(2)
    result.args[0].append(3)
    assert backend.results[0].args == [[1]]


def test_the_kept_result_is_found_by_its_id(backend: DummyBackend) -> None:
    results = [add.enqueue(number) for number in range(3)]
    assert [add.get_result(result.id) for result in results] == results
    assert asyncio.run(add.aget_result(results[1].id)) == results[1]
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(new_id())
    with pytest.raises(TaskResultDoesNotExist):
        asyncio.run(add.aget_result(new_id()))


def test_a_test_may_change_what_is_kept_and_refresh_shows_it(backend: DummyBackend) -> None:
    result = add.enqueue(1)
    object.__setattr__(backend.results[0], "status", TaskResultStatus.SUCCESSFUL)
    object.__setattr__(backend.results[0], "state", TaskStatus.SUCCESS)
    result.refresh()
    assert (result.status, result.state) == (TaskResultStatus.SUCCESSFUL, TaskStatus.SUCCESS)


def test_many_are_recorded_in_order_all_or_none(backend: DummyBackend) -> None:
    results = add.enqueue_many([((number,), {}) for number in range(5)])
    assert [result.args for result in backend.results] == [[number] for number in range(5)]
    assert backend.results == results
    with pytest.raises(SerializationFailed):
        note.enqueue_many([((1,), {}), (({1},), {})])
    assert backend.results == results


def test_coroutines_and_moments_are_taken_too(backend: DummyBackend) -> None:
    asyncio.run(aadd.using(run_after=timedelta(hours=1)).aenqueue(1))
    asyncio.run(add.aenqueue_many([((1,), {}), ((2,), {})]))
    assert len(backend.results) == 3
    assert backend.results[0].task.run_after is not None


@pytest.mark.parametrize(
    ("args", "error"), [((), TypeError), (({1},), SerializationFailed), ((b"",), SerializationFailed)]
)
def test_what_another_backend_would_refuse_is_refused_here(
    backend: DummyBackend, args: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        add.enqueue(*args)
    with pytest.raises(InvalidTask, match="did you mean 'emails'"):
        add.using(queue_name="emials")
    assert backend.results == []


def test_clear_forgets_what_was_enqueued(backend: DummyBackend) -> None:
    result = add.enqueue(1)
    backend.clear()
    assert backend.results == []
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()


def test_cancel_takes_effect_for_what_is_known(backend: DummyBackend) -> None:
    result = add.enqueue(1)
    assert result.cancel()
    assert backend.cancel([result.id, new_id()]) == [result.id]
    assert asyncio.run(backend.acancel([TaskId(result.id)])) == [result.id]  # type: ignore[list-item]


def test_the_originals_words_succeed(backend: DummyBackend) -> None:
    result = add.enqueue(1)
    assert backend.dequeue() is None
    assert backend.dequeue(["default"]) is None
    assert backend.get_status(result.id) is TaskStatus.SUCCESS
    assert backend.get_status(TaskId()) is TaskStatus.SUCCESS
    backend.update_status(result.id, TaskStatus.FAILURE)
    backend.update_status(TaskId(), TaskStatus.SUCCESS)
    assert backend.get_status(result.id) is TaskStatus.SUCCESS


def test_there_is_nothing_that_a_worker_could_run(backend: DummyBackend) -> None:
    with pytest.raises(NotImplementedError, match="DummyBackend keeps no jobs"):
        backend.broker


def test_results_pickle() -> None:
    result = add.using(priority=3, metadata={"a": 1}).enqueue(1)
    assert pickle.loads(pickle.dumps(result)) == result


def test_djangos_own_decorator_makes_tasks_for_it(backend: DummyBackend) -> None:
    assert chores.multiply.enqueue(2, b=3).args == [2]
    assert chores.number_of.enqueue().task.priority == 7
    assert len(backend.results) == 2


def test_a_job_tells_whether_its_function_is_a_coroutine_function(backend: DummyBackend) -> None:
    jobs = [backend.jobs_of(each, [((1,), {})])[0] for each in (add, aadd, aadd.using(priority=3))]
    assert [job.is_async for job in jobs] == [False, True, True]
