"""What a running task is told and may tell: its context, given to it or asked for at any depth of its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ._compat import TaskContext as CoreTaskContext
from .jobs import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(CoreTaskContext):
    """What a task with `takes_context=True` is given first: its result so far, its metadata, and ways to tell of progress."""

    #: Writes metadata and progress to the store; set by whoever runs the task.
    annotate: Callable[[dict[str, Any], Progress | None], None] | None = field(default=None, repr=False)
    #: Returns why the task was told to stop, or None; set by whoever runs the task.
    stopped_by: Callable[[], BaseException | None] = field(default=lambda: None, repr=False)
    #: The time for which a schedule has sent this task, in UTC; None where no schedule has.
    scheduled_for: datetime | None = None

    @property
    def cancel_requested(self) -> bool:
        """Whether the task was told to stop: somebody cancelled it, its time is over, or its worker lost it.

        The exception that says so is raised by itself where Python code runs; a task that waits in C code may ask here.
        """
        return self.stopped_by() is not None

    def heartbeat(self) -> None:
        """Raise TaskCancelled or TaskTimeout, if the task was told to stop. For long loops; nobody has to call it."""
        if (reason := self.stopped_by()) is not None:
            raise reason

    @property
    def metadata(self) -> dict[str, Any]:
        """The task's metadata. Changes are saved when the task finishes, or by `save_metadata()`."""
        metadata: dict[str, Any] = self.task_result.metadata
        return metadata

    def save_metadata(self) -> None:
        """Save the metadata now, for others to see."""
        self._write()

    async def asave_metadata(self) -> None:
        """See save_metadata()."""
        from asgiref.sync import sync_to_async

        await sync_to_async(self._write)()

    def progress(self, done: float, total: float, message: str | None = None) -> None:
        """Tell that `done` of `total` are done, and what is being done; `result.progress` shows it.

        A message longer than `Progress.MESSAGE_LIMIT` letters is cut.
        """
        object.__setattr__(self.task_result, "progress", Progress(done, total, message))
        self._write()

    async def aprogress(self, done: float, total: float, message: str | None = None) -> None:
        """See progress()."""
        object.__setattr__(self.task_result, "progress", Progress(done, total, message))
        await self.asave_metadata()

    def _write(self) -> None:
        if self.annotate is not None:
            self.annotate(self.metadata, self.task_result.progress)


_current: ContextVar[TaskContext | None] = ContextVar("reinhardt_tasks_context", default=None)


def get_current_context() -> TaskContext | None:
    """Return the context of the task that runs here, at any depth of its calls; None outside of tasks.

    Code that the task runs in threads of its own has none, unless the task copies it there (`contextvars.copy_context`).
    """
    return _current.get()


@contextmanager
def in_context(context: TaskContext) -> Iterator[None]:
    """Let `get_current_context` return `context` while this lasts."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
