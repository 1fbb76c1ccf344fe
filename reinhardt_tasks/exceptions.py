"""Every error of this package. Each says what happened, to which task, and what to do; its docstring is its default sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._compat import TaskException


class TaskError(TaskException):
    """Something went wrong with a task.

    The base of all errors of this package: who catches it catches these.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip().split("\n", 1)[0])


class TaskExecutionError(TaskError):
    """A backend could not do what was asked of it.

    The base of TaskNotFound, ExecutionFailed, BackendError and WorkerLost.
    """


class TaskNotFound(TaskExecutionError):
    """No task is registered under this name, or no task has this id.

    Raised by the registry and by `get_status`; in a task's errors where no worker knew its name for `UNKNOWN_TASK_TTL`.
    """


class DuplicateTask(TaskError):
    """Two functions want to be registered under one name.

    Raised where the second one is written; its sentence names both places.
    """


class InvalidWorkflow(TaskError):
    """A workflow cannot be built as it was written.

    Raised by `build()`, `check()` and `start()`: a cycle, a name that is not there, a placeholder without a value, too many steps.
    """


class WorkflowNotFound(TaskError):
    """No workflow has this id.

    Raised by `get_workflow`: it never was, was rolled back, or was deleted after `RESULT_TTL`.
    """


class QueueError(TaskError):
    """The queue could not be reached or refused what it was given; nothing was stored.

    Raised by whatever asks a store, also by the end of a transaction where a Redis is to get its tasks then: that is committed.
    Workers never die of it: they try again.
    """


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


class JobsRefused(QueueError):
    """The store answers, and does not take these jobs; none of them was stored there (of several shards, in that one).

    Raised by `enqueue()` where others may be taken: something else lies under their queue's key, or they have a text that is none.
    """


class OperationRefused(TaskError):
    """What somebody wanted to do to a task or a queue cannot be done.

    Raised by `reinhardt_tasks.operations`; its sentence says why, and what can be done.
    """


class SerializationFailed(TaskError, TypeError):
    """Arguments or a return value cannot be stored as JSON.

    Raised by `enqueue()`, which then stores nothing; a TypeError too. In a task's errors: its return value, or arguments that
    cannot be read, or whose signature is wrong.
    """


class InstanceMissing(TaskError):
    """A model instance that the task was given is gone.

    In a task's errors, without another try: no retry brings the row back. See `@task(on_missing="skip")`.
    """


class TaskTimeout(TaskError, TimeoutError):
    """The task ran for longer than its timeout.

    Raised inside of the task, a TimeoutError too; the attempt has failed, and is retried like any other.
    """


class TaskCancelled(TaskError):
    """The task was cancelled.

    Raised inside of the task where somebody cancelled it, or its worker lost it to another. Clean up, and let it through.
    """


class MaxRetriesExceeded(TaskError):
    """The task asked to be run again (`Retry`), and has no attempt left.

    In a task's errors; the `Retry` is its cause.
    """


class Retry(TaskError):
    """Raised by a task that wants to be run again: `raise Retry(in_=60)`.

    `in_` is a number of seconds or a timedelta; None leaves the delay to the task's own backoff. It counts as one of the
    task's attempts, and the last one ends as a failure.
    """

    def __init__(self, message: str = "", *, in_: object = None) -> None:
        super().__init__(message or "The task asked to be run again.")
        self.in_ = in_


class InvalidSchedule(TaskError, ValueError):
    """A schedule that cannot be: its expression, its time zone, or what is to run by it.

    Raised where it is written; a ValueError too. Its sentence names the bad field.
    """


class ExecutionFailed(TaskExecutionError):
    """Running the task failed.

    In a task's errors: `atomic=True` on a backend without a database, or whoever called `dequeue()` said FAILURE.
    """


class BackendError(TaskExecutionError):
    """The backend's store failed.

    Raised by `update_status` for a task that this process does not hold; or the store refused an outcome that it takes of others.
    """


class WorkerLost(TaskExecutionError):
    """The worker that ran the task died or lost its lease.

    In a task's errors, for each time; the task runs again, until it has been lost `MAX_LOST` times.
    """
