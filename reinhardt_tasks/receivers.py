"""The receivers of signals, kept from deciding what becomes of a task, or of whoever tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import signals
from .exception_text import Clean, log_exception
from .exceptions import TaskCancelled, TaskTimeout
from .redaction import call_cleaner
from .results import TaskResult


class guarded:
    """Logs what is raised in this context, in which receivers are told; `is_nobodys` says what is not of a receiver's making."""

    # No generator: each task enters it three times.
    __slots__ = ("_clean", "_is_nobodys", "_job_id")

    def __init__(
        self, job_id: str, clean: Callable[[], Clean | None], is_nobodys: Callable[[BaseException], bool] | None = None
    ) -> None:
        self._job_id = job_id
        self._clean = clean
        self._is_nobodys = is_nobodys

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> bool:
        if exc is None or self._is_nobodys is not None and self._is_nobodys(exc):
            return False
        # send_robust lets some through, and fails for receivers without a name, such as a partial.
        log_exception("Task id=%s: a receiver of a signal wanted to leave.", self._job_id, cleaner=self._clean)
        return True


def announce(sender: type, result: TaskResult[Any]) -> None:
    """Tell the receivers of `task_enqueued`. The task is stored: a caller who heard of an error would store it again."""
    with _announcing(result):
        signals.task_enqueued.send_robust(sender=sender, task_result=result)


async def aannounce(sender: type, result: TaskResult[Any]) -> None:
    """See announce()."""
    with _announcing(result):
        await signals.task_enqueued.asend_robust(sender=sender, task_result=result)


def _announcing(result: TaskResult[Any]) -> guarded:
    return guarded(result.id, lambda: call_cleaner(result.task, result.args, result.kwargs), _is_the_callers)


def _is_the_callers(exc: BaseException) -> bool:
    """Return whether somebody wants the caller to stop: Ctrl-C, the end of an event loop, a worker whose task enqueues."""
    return not isinstance(exc, Exception | SystemExit) or isinstance(exc, TaskTimeout | TaskCancelled)
