"""What an outcome makes of a stored job, in Python: the stores that have a language of their own say the same in it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from .jobs import Cancelled, Failed, Job, Outcome, Released, Succeeded, TaskStatus
from .log_lines import joined_log


def ended_by(job: Job, outcome: Outcome, now: datetime) -> Job | None:
    """Return the job as this outcome ends it, or None where it goes on."""
    ended = replace(noted(job, outcome, now), finished_at=now)
    match outcome:
        case Failed():
            return replace(ended, status=TaskStatus.FAILURE)
        case _ if job.cancel_requested or isinstance(outcome, Cancelled):
            # Whatever else was about to become of it, also where it was only given back.
            return replace(ended, status=TaskStatus.CANCELLED)
        case Succeeded(result=result):
            return replace(ended, status=TaskStatus.SUCCESS, result=result)
        case _:
            return None


def noted(job: Job, outcome: Outcome, now: datetime) -> Job:
    """Return the job with what this attempt adds to its history and to its log."""
    if isinstance(outcome, Released):
        return job
    history = job.history
    if not isinstance(outcome, Succeeded):
        history += (replace(outcome.attempt, finished_at=outcome.attempt.finished_at or now),)
    return replace(job, history=history, log=joined_log(job.log, outcome.log))
