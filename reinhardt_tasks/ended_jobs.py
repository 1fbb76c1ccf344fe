"""What an outcome makes of a stored job, in Python: the stores that have a language of their own say the same in it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from .jobs import Cancelled, Failed, Job, Outcome, Released, Succeeded, TaskStatus, changed
from .log_lines import joined_log


def ended_by(job: Job, outcome: Outcome, now: datetime) -> Job | None:
    """Return the job as this outcome ends it, or None where it goes on."""
    end: dict[str, Any]
    match outcome:
        case Failed():
            end = {"status": TaskStatus.FAILURE}
        case _ if job.cancel_requested or isinstance(outcome, Cancelled):
            # Whatever else was about to become of it, also where it was only given back.
            end = {"status": TaskStatus.CANCELLED}
        case Succeeded(result=result):
            end = {"status": TaskStatus.SUCCESS, "result": result}
        case _:
            return None
    return changed(job, finished_at=now, **end, **_notes(job, outcome, now))


def noted(job: Job, outcome: Outcome, now: datetime) -> Job:
    """Return the job with what this attempt adds to its history and to its log."""
    return changed(job, **_notes(job, outcome, now))


def _notes(job: Job, outcome: Outcome, now: datetime) -> dict[str, Any]:
    if isinstance(outcome, Released):
        return {}
    log = joined_log(job.log, outcome.log)
    if isinstance(outcome, Succeeded):
        return {"log": log}
    attempt = replace(outcome.attempt, finished_at=outcome.attempt.finished_at or now)
    return {"log": log, "history": (*job.history, attempt)}
