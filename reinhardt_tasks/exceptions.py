"""Every error of this package. Each says what happened, to which task, and what to do; its docstring is its default sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._compat import TaskException


class TaskError(TaskException):
    """Something went wrong with a task."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip().split("\n", 1)[0])


class TaskNotFound(TaskError):
    """No task is registered under this name, or no task has this id."""


class DuplicateTask(TaskError):
    """Two functions want to be registered under one name."""


class InvalidWorkflow(TaskError):
    """A workflow cannot be built as it was written."""


class WorkflowNotFound(TaskError):
    """No workflow has this id."""


class QueueError(TaskError):
    """The queue could not be reached or refused what it was given; nothing was stored."""


class PartlySettled(QueueError):
    """Some outcomes could not be recorded, since the part of the store that they belong to is away; the others are.

    `unsettled` are those outcomes, `lost` the claims of the others that were no longer their worker's, and `claims` what was
    claimed meanwhile.
    """

    def __init__(
        self, message: str = "", *, unsettled: Sequence[Any] = (), lost: Sequence[Any] = (), claims: Sequence[Any] = ()
    ) -> None:
        super().__init__(message)
        self.unsettled = list(unsettled)
        self.lost = list(lost)
        self.claims = list(claims)


class OperationRefused(TaskError):
    """What somebody wanted to do to a task or a queue cannot be done."""


class SerializationFailed(TaskError, TypeError):
    """Arguments or a return value cannot be stored as JSON."""


class InstanceMissing(TaskError):
    """A model instance that the task was given is gone."""


class TaskTimeout(TaskError, TimeoutError):
    """The task ran for longer than its timeout."""


class TaskCancelled(TaskError):
    """The task was cancelled."""


class MaxRetriesExceeded(TaskError):
    """The task asked to be run again (`Retry`), and has no attempt left."""


class Retry(TaskError):
    """Raised by a task that wants to be run again: `raise Retry(in_=60)`.

    `in_` is a number of seconds or a timedelta; None leaves the delay to the task's own backoff. It counts as one of the
    task's attempts, and the last one ends as a failure.
    """

    def __init__(self, message: str = "", *, in_: object = None) -> None:
        super().__init__(message or "The task asked to be run again.")
        self.in_ = in_


class InvalidSchedule(TaskError, ValueError):
    """A schedule that cannot be: its expression, its time zone, or what is to run by it."""


class TaskExecutionError(TaskError):
    """A backend could not do what was asked of it."""


class ExecutionFailed(TaskExecutionError):
    """Running the task failed."""


class BackendError(TaskExecutionError):
    """The backend's store failed."""


class WorkerLost(TaskExecutionError):
    """The worker that ran the task died or lost its lease."""
