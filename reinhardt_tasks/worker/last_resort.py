"""The outcome of an execution that was left by an exception: there always is one."""

from __future__ import annotations

from ..awaiting import in_thread
from ..exception_text import log_exception
from ..execution import Execution
from ..jobs import Outcome


def outcome_after(execution: Execution, exc: BaseException) -> Outcome:
    """Return the outcome of an execution that was left by an exception. Never raises."""
    reason = execution.stopped_by or exc
    try:
        return execution.fail(reason)
    except BaseException:
        words = "Task id=%s: its end could not be told, and is recorded all the same."
        log_exception(words, execution.claim.job.id, cleaner=execution.cleaner)
        return execution.give_up(reason)


async def aoutcome_after(execution: Execution, exc: BaseException) -> Outcome:
    """Do as `outcome_after`, whoever may cancel it."""
    try:
        # It may ask a database.
        return await in_thread(outcome_after, execution, exc)
    except BaseException:
        return execution.give_up(execution.stopped_by or exc)
