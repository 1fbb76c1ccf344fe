"""The receivers of signals, kept from deciding what becomes of a task, or of whoever tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import signals
from .exception_text import Clean, log_exception
from .exceptions import TaskCancelled, TaskTimeout
from .redaction import call_cleaner
from .results import TaskResult


@contextmanager
def guarded(
    job_id: str, clean: Callable[[], Clean | None], is_nobodys: Callable[[BaseException], bool] = lambda exc: False
) -> Iterator[None]:
    """Log what is raised in this context, in which receivers are told; `is_nobodys` says what is not of a receiver's making."""
    try:
        yield
    except BaseException as exc:
        if is_nobodys(exc):
            raise
        # send_robust lets some through, and fails for receivers without a name, such as a partial.
        log_exception("Task id=%s: a receiver of a signal wanted to leave.", job_id, cleaner=clean)


def announce(sender: type, result: TaskResult[Any]) -> None:
    """Tell the receivers of `task_enqueued`. The task is stored: a caller who heard of an error would store it again."""
    with _announcing(result):
        signals.task_enqueued.send_robust(sender=sender, task_result=result)


async def aannounce(sender: type, result: TaskResult[Any]) -> None:
    """See announce()."""
    with _announcing(result):
        await signals.task_enqueued.asend_robust(sender=sender, task_result=result)


def _announcing(result: TaskResult[Any]) -> Any:
    return guarded(result.id, lambda: call_cleaner(result.task, result.args, result.kwargs), _is_the_callers)


def _is_the_callers(exc: BaseException) -> bool:
    """Return whether somebody wants the caller to stop: Ctrl-C, the end of an event loop, a worker whose task enqueues."""
    return not isinstance(exc, Exception | SystemExit) or isinstance(exc, TaskTimeout | TaskCancelled)
