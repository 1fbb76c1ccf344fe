"""The immediate backend: the task runs at once, in the caller, and the finished result comes back."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.utils import timezone

from reinhardt_tasks import Retry, RetryStrategy, TaskContext, task
from reinhardt_tasks._compat import InvalidTask, TaskResultStatus, task_backends
from reinhardt_tasks.backends import ImmediateBackend
from reinhardt_tasks.exceptions import SerializationFailed, TaskNotFound
from reinhardt_tasks.jobs import TaskId, TaskStatus, new_id
from reinhardt_tasks.signals import task_enqueued

from . import chores
from .chores import CORE_TAKES_MORE, aadd, add, fail, note

#: How often `fail_first` was called.
calls: list[int] = []


@task(max_attempts=3, backoff=RetryStrategy.fixed_delay(3600))
def fail_first(times: int) -> int:
    calls.append(len(calls))
    if len(calls) <= times:
        raise OSError(f"call {len(calls)}")
    return len(calls)


@task(max_attempts=2)
def ask_again() -> None:
    raise Retry(in_=3600)


@task
def leave(how: str) -> None:
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[how]("out")


@task
def recurse() -> None:
    recurse.call()


@task
def give(kind: str) -> Any:
    return {"set": {1}, "function": give.func, "tuple": (1, [2]), "text": "text", "none": None}[kind]


@task(takes_context=True, metadata={"team": "a"})
def tell(context: TaskContext, words: str) -> list[Any]:
    context.metadata["words"] = words
    context.progress(1, 2)
    return [context.attempt, context.task_result.id]


@task
def thread_name() -> str:
    return threading.current_thread().name


@pytest.fixture(autouse=True)
def backend(settings: Any) -> ImmediateBackend:
    settings.TASKS = {
        "default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": ["default", "emails"]}
    }
    calls.clear()
    chores.noted.clear()
    backend: ImmediateBackend = task_backends["default"]
    return backend


@pytest.mark.parametrize("it", [add, aadd])
def test_enqueue_gives_the_finished_result(it: Any) -> None:
    result = it.enqueue(1, b=2)
    assert result.status is TaskResultStatus.SUCCESSFUL
    assert result.state is TaskStatus.SUCCESS
    assert result.return_value == 3
    assert (result.args, result.kwargs, result.attempts) == ([1], {"b": 2}, 1)
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at


@pytest.mark.parametrize("it", [add, aadd])
def test_a_coroutine_enqueues_too(it: Any) -> None:
    assert asyncio.run(it.aenqueue(1, b=2)).return_value == 3


def test_the_task_runs_in_its_caller() -> None:
    assert thread_name.enqueue().return_value == threading.current_thread().name


def test_a_failure_is_a_result_and_no_exception() -> None:
    result = fail.enqueue("words")
    assert result.status is TaskResultStatus.FAILED
    assert result.state is TaskStatus.FAILURE
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert error.traceback.endswith("ValueError: words\n")
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value


def test_a_task_that_says_nothing_of_attempts_is_tried_once() -> None:
    result = add.enqueue("a", 1)
    assert (result.state, result.attempts) == (TaskStatus.FAILURE, 1)


def test_retries_happen_at_once() -> None:
    result = fail_first.enqueue(2)
    assert (result.state, result.return_value, result.attempts) == (TaskStatus.SUCCESS, 3, 3)
    assert [error.traceback.splitlines()[-1] for error in result.errors] == ["OSError: call 1", "OSError: call 2"]


def test_retries_end_with_the_last_attempt() -> None:
    result = fail_first.enqueue(5)
    assert (result.state, len(result.errors), len(calls)) == (TaskStatus.FAILURE, 3, 3)


def test_a_task_may_ask_to_be_run_again() -> None:
    assert ask_again.enqueue().attempts == 2


def test_system_exit_fails_the_task_and_ctrl_c_stops_the_caller() -> None:
    assert leave.enqueue("SystemExit").errors[0].exception_class is SystemExit
    with pytest.raises(KeyboardInterrupt):
        leave.enqueue("KeyboardInterrupt")


def test_a_recursion_without_end_fails_the_task_alone() -> None:
    assert recurse.enqueue().errors[0].exception_class is RecursionError
    assert add.enqueue(1).return_value == 2


def test_arguments_and_return_values_go_through_json() -> None:
    value = {"pair": (1, 2)}
    note.enqueue(value)
    assert chores.noted == [{"pair": [1, 2]}]
    chores.noted[0]["pair"].append(3)
    assert value == {"pair": (1, 2)}
    assert give.enqueue("tuple").return_value == [1, [2]]
    assert give.enqueue("text").return_value == "text"
    assert give.enqueue("none").return_value is None


@pytest.mark.parametrize("kind", ["set", "function"])
def test_a_return_value_that_json_cannot_hold_fails_the_task(kind: str) -> None:
    result = give.enqueue(kind)
    assert result.state is TaskStatus.FAILURE
    assert issubclass(result.errors[0].exception_class, SerializationFailed)
    assert give.module_path in result.errors[0].traceback


def test_arguments_that_cannot_be_stored_elsewhere_are_refused_here() -> None:
    with pytest.raises(SerializationFailed):
        note.enqueue({1})
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        add.enqueue()
    with pytest.raises(InvalidTask, match="did you mean 'emails'"):
        add.using(queue_name="emials")
    with pytest.raises(InvalidTask, match="run_after"):
        add.using(run_after=timezone.now())


def test_of_many_calls_none_runs_where_one_cannot_be_taken() -> None:
    with pytest.raises(SerializationFailed):
        note.enqueue_many([((1,), {}), (({1},), {})])
    assert chores.noted == []
    assert [result.return_value for result in add.enqueue_many([((1,), {}), ((2,), {"b": 2})])] == [2, 4]
    assert len(asyncio.run(note.aenqueue_many([((1,), {}), ((2,), {})]))) == 2
    assert chores.noted == [1, 2]


def test_the_task_is_given_its_context() -> None:
    result = tell.enqueue("hello")
    assert result.return_value == [1, result.id]
    assert result.metadata == {"team": "a", "words": "hello"}
    assert result.progress == (1, 2)
    assert tell.metadata == {"team": "a"}


def test_results_cannot_be_asked_for_again(backend: ImmediateBackend) -> None:
    result = add.enqueue(1)
    for ask in (lambda: backend.get_result(result.id), lambda: asyncio.run(result.arefresh()), result.refresh):
        with pytest.raises(NotImplementedError, match="does not support retrieving or refreshing results"):
            ask()


def test_the_originals_words_tell_of_what_was_run(backend: ImmediateBackend) -> None:
    done, failed = add.enqueue(1), fail.enqueue()
    assert backend.get_status(done.id) is TaskStatus.SUCCESS
    assert backend.get_status(TaskId(failed.id)) is TaskStatus.FAILURE
    backend.update_status(failed.id, TaskStatus.SUCCESS)
    assert backend.get_status(failed.id) is TaskStatus.SUCCESS
    assert backend.dequeue() is None
    unknown = new_id()
    with pytest.raises(TaskNotFound, match=unknown):
        backend.get_status(unknown)
    with pytest.raises(TaskNotFound, match=unknown):
        backend.update_status(unknown, TaskStatus.SUCCESS)


def test_the_oldest_of_what_was_run_are_forgotten(backend: ImmediateBackend) -> None:
    first, *_, last = add.enqueue_many([((1,), {})] * 1001)
    assert backend.get_status(last.id) is TaskStatus.SUCCESS
    with pytest.raises(TaskNotFound):
        backend.get_status(first.id)


def test_there_is_nothing_to_cancel_and_nothing_for_a_worker(backend: ImmediateBackend) -> None:
    assert not add.enqueue(1).cancel()
    with pytest.raises(NotImplementedError, match="ImmediateBackend keeps no jobs"):
        backend.broker


def test_waiting_for_a_finished_result_ends_at_once() -> None:
    result = add.enqueue(1)
    assert result.wait(timeout=10) is result
    assert asyncio.run(result.await_()) is result


def test_results_pickle() -> None:
    for result in (add.enqueue(1), fail.enqueue()):
        again = pickle.loads(pickle.dumps(result))
        assert again == result
        assert again.errors == result.errors


def test_djangos_own_decorator_makes_tasks_for_it() -> None:
    assert chores.multiply.enqueue(2, b=3).return_value == 6
    assert chores.number_of.enqueue().return_value == 1


@pytest.mark.skipif(not CORE_TAKES_MORE, reason="Django 6.0's own @task takes no keywords but Django's.")
def test_djangos_own_decorator_takes_our_keywords_too() -> None:
    result = chores.divide.enqueue(1, 0)
    assert (result.attempts, result.metadata) == (2, {"by": "core"})
    assert chores.core_task(retry_on=ValueError)(fail.func).retry_on == (ValueError,)


# ENQUEUE_ON_COMMIT


@pytest.fixture
def waits_for_commits(settings: Any) -> ImmediateBackend:
    settings.TASKS = {
        "default": {
            "BACKEND": "reinhardt_tasks.backends.ImmediateBackend",
            "OPTIONS": {"ENQUEUE_ON_COMMIT": True},
        }
    }
    backend: ImmediateBackend = task_backends["default"]
    return backend


@pytest.mark.django_db(transaction=True)
def test_a_task_runs_in_the_transaction_of_its_caller_unless_that_is_said() -> None:
    with transaction.atomic():
        note.enqueue("in it")
        assert chores.noted == ["in it"]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_at_the_commit_keeps_no_other_task(waits_for_commits: ImmediateBackend) -> None:
    def fail(**kwargs: Any) -> None:
        raise ValueError("not told")

    task_enqueued.connect(fail, sender=ImmediateBackend)
    try:
        with transaction.atomic():
            note.enqueue("one")
            note.enqueue("two")
    finally:
        task_enqueued.disconnect(fail, sender=ImmediateBackend)
    assert chores.noted == ["one", "two"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "send", [note.enqueue, lambda value: note.enqueue_many([((value,), {})])[0]], ids=["one", "many"]
)
def test_a_task_may_wait_for_the_commit(waits_for_commits: ImmediateBackend, send: Any) -> None:
    with transaction.atomic():
        result = send("at the commit")
        assert (chores.noted, result.state, result.status) == ([], TaskStatus.PENDING, TaskResultStatus.READY)
        with pytest.raises(RuntimeError, match="when the transaction that is open here commits"):
            result.wait()
    assert chores.noted == ["at the commit"]
    assert (result.state, result.attempts, result.args) == (TaskStatus.SUCCESS, 1, ["at the commit"])
    assert result.wait() is result and waits_for_commits.get_status(result.id) is TaskStatus.SUCCESS


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_waits_for_the_commit_of_its_thread(waits_for_commits: ImmediateBackend) -> None:
    with transaction.atomic():
        result = async_to_sync(aadd.aenqueue)(1, 2)
        assert result.state is TaskStatus.PENDING
    assert result.return_value == 3


@pytest.mark.django_db(transaction=True)
def test_a_rollback_runs_nothing_then(waits_for_commits: ImmediateBackend) -> None:
    heard: list[str] = []

    def hear(sender: Any, task_result: Any, **facts: Any) -> None:
        heard.append(task_result.id)

    task_enqueued.connect(hear)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        result = note.enqueue("never")
        raise ZeroDivisionError
    with transaction.atomic():
        kept = note.enqueue("kept")
        with pytest.raises(SerializationFailed):
            note.enqueue({1})
    task_enqueued.disconnect(hear)
    assert (chores.noted, result.state, heard) == (["kept"], TaskStatus.PENDING, [kept.id])


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_it_runs_at_once_all_the_same(waits_for_commits: ImmediateBackend) -> None:
    assert add.enqueue(1, 2).return_value == 3
    add.enqueue_on_commit(1, 2)
    with transaction.atomic():
        note.enqueue_on_commit("once")
    assert chores.noted == ["once"]


@pytest.mark.django_db
def test_what_a_test_case_holds_is_no_transaction(waits_for_commits: ImmediateBackend) -> None:
    assert add.enqueue(1, 2).return_value == 3
