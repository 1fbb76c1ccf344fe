"""Outcomes made of nothing but a claim: its worker was lost, or the execution that should have made one could not.

No task is run or asked here, no signal is sent and no store is called.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ._compat import CoreTask
from .exception_text import class_path, traceback_text
from .exceptions import WorkerLost
from .jobs import Attempt, Cancelled, Claim, Failed, Outcome, Retrying
from .retries import RetryStrategy

if TYPE_CHECKING:
    from .options import BackendOptions

logger = logging.getLogger("reinhardt_tasks")


def attempt_of(claim: Claim, exc: BaseException) -> Attempt:
    """Return the attempt of a claim that ended now, by this exception. Never raises."""
    return Attempt(
        worker=claim.worker,
        started_at=claim.job.started_at,
        finished_at=datetime.now(UTC),
        exception=class_path(type(exc)),
        traceback=traceback_text(exc),
    )


def bare_outcome(
    claim: Claim, options: BackendOptions, exc: BaseException, task: CoreTask | None, *, is_cancelled: bool
) -> Outcome:
    """Return what follows an attempt that ended by `exc`, with the default backoff. Never raises.

    Of the `task`, where it is known, only the number of its attempts counts.
    """
    attempt, job = attempt_of(claim, exc), claim.job
    if is_cancelled:
        return Cancelled(claim=claim, attempt=attempt)
    if job.failures + 1 >= options.retry_policy(task, job).max_attempts:
        return Failed(claim=claim, attempt=attempt)
    delay = RetryStrategy.exponential_backoff().calculate_delay(job.failures + 1)
    return Retrying(claim=claim, attempt=attempt, delay=delay)


def lost_outcome(claim: Claim, options: BackendOptions) -> Outcome:
    """Return what becomes of a rescued job: it runs again, or fails once it has taken down too many workers."""
    job = claim.job
    error = WorkerLost(f"Worker {job.worker} died, or lost its lease, while it ran this task.")
    # Of the worker that had it, not of the one that tells.
    attempt = replace(attempt_of(claim, error), worker=job.worker or "", lost=True)
    if job.cancel_requested:
        return Cancelled(claim=claim, attempt=attempt)
    if job.losses + 1 >= options.max_lost:
        logger.error(
            "Task id=%s path=%s failed: it was running when %d workers were lost.", job.id, job.name, job.losses + 1
        )
        return Failed(claim=claim, attempt=attempt)
    logger.warning("Task id=%s path=%s runs again: worker %s was lost.", job.id, job.name, job.worker)
    return Retrying(claim=claim, attempt=attempt, delay=0.0)
