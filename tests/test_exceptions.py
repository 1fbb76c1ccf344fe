"""The exceptions: their families, and that each says something even when nobody gave it words."""

from __future__ import annotations

import inspect
import pickle
from datetime import timedelta

import pytest

from reinhardt_tasks import exceptions
from reinhardt_tasks._compat import TaskException
from reinhardt_tasks.exceptions import (
    BackendError,
    ExecutionFailed,
    MaxRetriesExceeded,
    QueueError,
    Retry,
    SerializationFailed,
    TaskCancelled,
    TaskError,
    TaskExecutionError,
    TaskNotFound,
    TaskTimeout,
)

ALL = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if kind.__module__ == exceptions.__name__]


@pytest.mark.parametrize("kind", ALL)
def test_every_exception_is_a_task_error_with_a_sentence_of_its_own(kind: type[TaskError]) -> None:
    assert issubclass(kind, TaskError)
    assert issubclass(kind, TaskException)
    assert str(kind()).endswith(".")
    assert "\n" not in str(kind())
    assert str(kind("Queue 'emial' is gone.")) == "Queue 'emial' is gone."


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not Retry])
def test_the_first_line_of_the_docstring_is_the_default_sentence(kind: type[TaskError]) -> None:
    assert str(kind()) == (kind.__doc__ or "").splitlines()[0]


def test_the_originals_errors_of_a_task_are_all_there() -> None:
    assert {ExecutionFailed, TaskNotFound, QueueError, SerializationFailed, TaskTimeout, MaxRetriesExceeded} <= set(ALL)


def test_a_backends_errors_are_a_family_of_their_own() -> None:
    assert issubclass(ExecutionFailed, TaskExecutionError)
    assert issubclass(BackendError, TaskExecutionError)
    assert issubclass(TaskNotFound, TaskExecutionError)
    assert not issubclass(QueueError, TaskExecutionError)


def test_a_timeout_is_pythons_own_timeout_error_too() -> None:
    with pytest.raises(TimeoutError, match="longer"):
        raise TaskTimeout
    assert not issubclass(TaskCancelled, TimeoutError)


def test_a_retry_carries_the_delay_that_the_task_asked_for() -> None:
    assert Retry().in_ is None
    assert Retry(in_=60).in_ == 60
    late = Retry("The mail server is busy.", in_=timedelta(minutes=1))
    assert (str(late), late.in_) == ("The mail server is busy.", timedelta(minutes=1))


@pytest.mark.parametrize("kind", ALL)
def test_exceptions_pickle(kind: type[TaskError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("It broke.")))
    assert type(copy) is kind
    assert str(copy) == "It broke."


def test_a_pickled_retry_keeps_its_delay() -> None:
    assert pickle.loads(pickle.dumps(Retry(in_=60))).in_ == 60
