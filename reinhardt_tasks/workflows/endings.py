"""How a step has ended, whoever tells of it: its worker, or the queue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from ..exception_text import class_path
from ..jobs import Attempt, Job
from ..tracebacks import exception_line
from ..workflow_states import StepStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a step has ended. `error` is JSON text: exception, message, traceback."""

    status: StepStatus
    result: str | None = None
    error: str | None = None
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


def ending_of_job(job: Job) -> Ending:
    """Return how a finished job has ended, for the record."""
    status = StepStatus(job.status.value)
    last = job.history[-1] if job.history and status is not StepStatus.SUCCESS else None
    return Ending(
        status=status,
        result=job.result if status is StepStatus.SUCCESS else None,
        error=None if last is None else error_text(last),
        attempts=len(job.history) + (status is StepStatus.SUCCESS),
        started_at=job.first_started_at or job.started_at,
        finished_at=job.finished_at,
    )


def error_text(attempt: Attempt) -> str:
    """Return what is kept of a failed attempt."""
    message = message_of(attempt.traceback)
    return json.dumps({"exception": attempt.exception, "message": message, "traceback": attempt.traceback})


def message_of(traceback: str) -> str:
    """Return the message of what was raised last: its first line."""
    return exception_line(traceback).partition(": ")[2]


def text_of(exc: Exception) -> str:
    """Return what is kept of a failure that no attempt has seen."""
    exception, message = class_path(type(exc)), str(exc)
    return json.dumps({"exception": exception, "message": message, "traceback": f"{exception}: {message}\n"})
