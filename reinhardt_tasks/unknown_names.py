"""Jobs whose names no worker that met them has known, and since when: kept in their metadata, where people see it, tasks not.

It counts from the first meeting. What a job went through before, a backlog or a retry by hand, is not its name's fault.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ._compat import TaskException
from .bare_outcomes import attempt_of
from .exceptions import TaskNotFound
from .jobs import Claim, Failed, Job, Outcome, Released, TaskStatus

logger = logging.getLogger("reinhardt_tasks")

KEY = "reinhardt_tasks.unknown_since"
#: Seconds until a job whose name is not known here is offered again.
UNKNOWN_TASK_DELAY = 10.0


def outcome_of(claim: Claim, exc: TaskNotFound, ttl: float) -> tuple[Outcome, datetime | None]:
    """Return what becomes of a job whose name is not known here, and where it is met for the first time, when that was.

    It fails where it was met for the first time longer ago than `ttl` seconds.
    """
    job, now = claim.job, datetime.now(UTC)
    met_at = since(job)
    if met_at is not None and now - met_at > timedelta(seconds=ttl):
        logger.error("Task id=%s path=%s failed: %s", job.id, job.name, exc)
        return Failed(claim=claim, attempt=attempt_of(claim, exc)), None
    logger.warning(
        "Task id=%s path=%s is put back for %g s: %s Where this worker's code is older than the task, restart the worker.",
        job.id,
        job.name,
        UNKNOWN_TASK_DELAY,
        exc,
    )
    released = Released(claim=claim, delay=min(UNKNOWN_TASK_DELAY, ttl))
    return released, now if met_at is None else None


def mark(claim: Claim, moment: datetime, annotate: Callable[..., Any]) -> None:
    """Keep when a job was met for the first time."""
    job = claim.job
    try:
        annotate(claim, with_mark(job.metadata, moment), job.progress)
    except TaskException as exc:
        logger.warning("Task id=%s path=%s: its time begins at the next meeting: %s", job.id, job.name, exc)


def is_put_back(job: Job) -> bool:
    """Return whether a scheduled job was claimed and given back, and does not wait for its caller's time."""
    return (
        job.status is TaskStatus.SCHEDULED
        and job.token > len(job.history)
        and (job.run_after is None or job.run_after <= datetime.now(UTC))
    )


def since(job: Job) -> datetime | None:
    """Return when the job was first met by a worker that did not know it; None where that was in a life before this one."""
    try:
        moment = datetime.fromisoformat(job.metadata[KEY])
    except (KeyError, TypeError, ValueError):
        return None
    # It was enqueued anew, or has been run or given up since: by people, or by a worker that knew it.
    ends = [job.enqueued_at, *(attempt.finished_at for attempt in job.history[-1:])]
    if moment.tzinfo is None or any(end is not None and moment < end for end in ends):
        return None
    return moment


def with_mark(metadata: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """Return a job's metadata for one that was first met at that moment."""
    return {**metadata, KEY: moment.isoformat()}


def without_mark(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a job's metadata is its caller's and its task's."""
    return {key: value for key, value in metadata.items() if key != KEY}
