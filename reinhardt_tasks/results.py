"""What a caller gets back: Django's TaskResult, widened."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asgiref.sync import sync_to_async

from ._compat import TASK_REFRESH_ATTRS, TaskError
from ._compat import TaskResult as CoreTaskResult
from .exceptions import SerializationFailed
from .jobs import Job, Progress, TaskStatus
from .log_lines import LogLine, decode_log
from .redaction import redacted_call
from .serialization import decode_call
from .unknown_names import without_mark
from .waiting import pauses

if TYPE_CHECKING:
    from ._compat import CoreTask

R = TypeVar("R")

_REFRESHED = (*TASK_REFRESH_ATTRS, "state", "metadata", "progress", "losses", "log")
#: Seconds between two looks of `wait()`: short at first, since most results are near.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(CoreTaskResult, Generic[R]):  # type: ignore[misc, unused-ignore]
    """Django's TaskResult with the finer state, progress, metadata, and the verbs `wait` and `cancel`."""

    state: TaskStatus = TaskStatus.PENDING
    #: What was given by `.using(metadata=…)` and saved by the task since.
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    #: (done, total) as the task last told, with its `message`; or None.
    progress: Progress | None = None
    #: Attempts that ended because their worker was lost; the other errors are the task's own failures.
    losses: int = 0
    #: What its attempts have logged, oldest first, as their workers kept it: see the option LOG_LINES.
    log: tuple[LogLine, ...] = ()
    #: What this is filled in from when somebody asks for more than it has: see `enqueued_result`.
    _job: Job | None = field(init=False, default=None, repr=False, compare=False, hash=False)

    def __repr__(self) -> str:
        """Show the task's id, name, state and arguments, redacted ones as nobody is to see them."""
        call = redacted_call(self.task, self.args, self.kwargs)
        arguments = f"args={call.args!r}, kwargs={call.kwargs!r}"
        return f"<TaskResult {self.id} {self.task.module_path} {self.state}, {arguments}>"

    if TYPE_CHECKING:

        @property
        def return_value(self) -> R: ...

    else:

        def __getattr__(self, name: str) -> Any:
            """Fill in what is missing: Python asks here for that alone."""
            object.__getattribute__(self, "_fill")()
            return object.__getattribute__(self, name)

    def _fill(self) -> None:
        try:
            job = object.__getattribute__(self, "_job")
        except AttributeError:
            # Just being made: by pickle, by copy.
            return
        if job is None:
            return
        filled = result_of(job, self.task)
        for name in _names():
            try:
                object.__getattribute__(self, name)
            except AttributeError:
                object.__setattr__(self, name, getattr(filled, name))
        # Last: another thread may be about to ask, too.
        object.__setattr__(self, "_job", None)

    @property
    def failures(self) -> int:
        """Attempts that failed by the task's own doing."""
        return len(self.errors) - self.losses

    def refresh(self) -> None:
        """Read the task's present state from its store."""
        self._take(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See refresh()."""
        self._take(await self.task.get_backend().aget_result(self.id))

    def wait(self, timeout: float | timedelta | None = None) -> TaskResult[R]:
        """Wait until the task has finished, successfully or not, and return this result.

        Raise TimeoutError when `timeout` (seconds) is over before, and RuntimeError where waiting cannot end: inside
        the very transaction that has to commit before a worker can see the task.
        """
        self._refuse_in_vain()
        for pause in self._pauses(timeout):
            self.refresh()
            if self.is_finished:
                break
            time.sleep(pause)
        return self

    async def await_(self, timeout: float | timedelta | None = None) -> TaskResult[R]:
        """See wait(). (`await` itself is a word of the language.)"""
        # In the thread of the coroutine's database work: the loop's own has no part in the transaction.
        await sync_to_async(self._refuse_in_vain, thread_sensitive=True)()
        for pause in self._pauses(timeout):
            await self.arefresh()
            if self.is_finished:
                break
            await asyncio.sleep(pause)
        return self

    def cancel(self) -> bool:
        """Cancel the task. Return whether that took effect: a waiting task never runs, a running one is told to stop."""
        return bool(self.task.get_backend().cancel([self.id]))

    async def acancel(self) -> bool:
        """See cancel()."""
        return bool(await self.task.get_backend().acancel([self.id]))

    def _take(self, fresh: CoreTaskResult) -> None:
        for name in _REFRESHED:
            if hasattr(fresh, name):
                object.__setattr__(self, name, getattr(fresh, name))

    def _refuse_in_vain(self) -> None:
        problem = getattr(self.task.get_backend(), "why_waiting_is_hopeless", None)
        if not self.is_finished and problem and (why := problem()):
            raise RuntimeError(f"Waiting for task {self.id} would never end: {why}")

    def _pauses(self, timeout: float | timedelta | None) -> Iterator[float]:
        if self.is_finished:
            return iter(())
        task = f"Task {self.id} ({self.task.module_path})"
        return pauses(timeout, _FIRST_PAUSE, _LONGEST_PAUSE, lambda: f"{task} is still {self.state}")


def result_of(job: Job, task: CoreTask) -> TaskResult[Any]:
    """Return the result that shows `job`. A payload that was damaged shows no arguments."""
    try:
        call = decode_call(job.payload)
        return fill_result(job, task, call.args, call.kwargs)
    except (SerializationFailed, RecursionError):
        return fill_result(job, task, [], {})


def enqueued_result(job: Job, task: CoreTask) -> TaskResult[Any]:
    """Return what `result_of` returns, at a tenth of its price: most callers never look at it, and few at more than its id.

    The rest is filled in from the job when it is first asked for.
    """
    result: TaskResult[Any] = object.__new__(TaskResult)
    object.__setattr__(result, "task", task)
    object.__setattr__(result, "id", job.id)
    object.__setattr__(result, "backend", job.backend)
    object.__setattr__(result, "_job", job)
    return result


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(item.name for item in fields(TaskResult))


def fill_result(job: Job, task: CoreTask, args: Any, kwargs: Any) -> TaskResult[Any]:
    result: TaskResult[Any] = TaskResult(
        task=task,
        id=job.id,
        status=job.status.django,
        state=job.status,
        enqueued_at=job.enqueued_at,
        started_at=job.first_started_at or job.started_at,
        finished_at=job.finished_at,
        last_attempted_at=job.started_at,
        args=args,
        kwargs=kwargs,
        backend=job.backend,
        errors=[TaskError(exception_class_path=a.exception, traceback=a.traceback) for a in job.history],
        worker_ids=job.worker_ids,
        # The task may change what is in it, and must not change the job by that.
        metadata=copy.deepcopy(without_mark(job.metadata)) if job.metadata else {},
        progress=job.progress,
        losses=job.losses,
        log=tuple(line for attempt in decode_log(job.log) for line in attempt.lines),
    )
    if job.result is not None and job.status is TaskStatus.SUCCESS:
        object.__setattr__(result, "_return_value", json.loads(job.result))
    return result
