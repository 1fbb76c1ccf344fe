"""Results in Celery's words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..._compat import DEFAULT_TASK_BACKEND_ALIAS, TaskResultDoesNotExist, task_backends
from ...exceptions import ExecutionFailed, TaskCancelled
from ...jobs import TaskStatus
from ...results import TaskResult
from ...tracebacks import exception_line

_STATES = {
    TaskStatus.PENDING: "PENDING",
    TaskStatus.SCHEDULED: "PENDING",
    TaskStatus.RUNNING: "STARTED",
    TaskStatus.RETRY: "RETRY",
    TaskStatus.SUCCESS: "SUCCESS",
    TaskStatus.FAILURE: "FAILURE",
    TaskStatus.CANCELLED: "REVOKED",
}


class AsyncResult:
    """A task's result by its id. As with Celery, the state of a task that nobody knows is PENDING."""

    def __init__(self, id: str, backend: str = DEFAULT_TASK_BACKEND_ALIAS) -> None:
        self.id = str(id)
        self.backend = backend
        self._known: TaskResult[Any] | None = None

    @classmethod
    def of(cls, result: TaskResult[Any]) -> AsyncResult:
        """Return a result of this package in Celery's words."""
        made = cls(result.id, result.backend)
        made._known = result
        return made

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def state(self) -> str:
        found = self._look()
        return "PENDING" if found is None else _STATES[found.state]

    status = state

    def ready(self) -> bool:
        """Return whether the task has ended, well or not."""
        found = self._look()
        return found is not None and found.is_finished

    def successful(self) -> bool:
        return self.state == "SUCCESS"

    def failed(self) -> bool:
        return self.state == "FAILURE"

    @property
    def result(self) -> Any:
        """What the task returned, the error that it failed with, or None while it has not ended."""
        return self.get(propagate=False) if self.ready() else None

    @property
    def traceback(self) -> str | None:
        found = self._look()
        return found.errors[-1].traceback if found is not None and found.errors else None

    def get(self, timeout: float | None = None, propagate: bool = True) -> Any:
        """Wait for the task and return what it returned.

        Raise ExecutionFailed, which names the exception of a task that failed; TaskCancelled for one that was cancelled;
        TimeoutError; TaskResultDoesNotExist for a task that nobody knows. With `propagate=False` the first two are returned.
        """
        found = self._look()
        if found is None:
            raise TaskResultDoesNotExist(self.id)
        found.wait(timeout)
        if found.state is TaskStatus.SUCCESS:
            return found.return_value
        error = _error_of(found)
        if propagate:
            raise error
        return error

    def revoke(self, terminate: bool = False) -> bool:
        """Cancel the task, also where it runs, whatever `terminate` says; return whether that took effect."""
        backend: Any = task_backends[self.backend]
        return bool(backend.cancel([self.id]))

    def _look(self) -> TaskResult[Any] | None:
        if self._known is None or not self._known.is_finished:
            # It may be on its way: it is sent when a transaction commits.
            with suppress(TaskResultDoesNotExist):
                self._known = task_backends[self.backend].get_result(self.id)
        return self._known

    def __repr__(self) -> str:
        return f"<AsyncResult {self.id}>"


def _error_of(result: TaskResult[Any]) -> Exception:
    if result.state is TaskStatus.CANCELLED:
        return TaskCancelled(f"Task {result.id} ({result.task.module_path}) was cancelled.")
    words = exception_line(result.errors[-1].traceback) if result.errors else "it failed"
    return ExecutionFailed(f"Task {result.id} ({result.task.module_path}): {words}")
