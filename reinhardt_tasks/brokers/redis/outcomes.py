"""Outcomes as seven values for the exchanging script: id, token, status, result, history, delay (µs), log."""

from __future__ import annotations

from typing import Any

from ...jobs import Cancelled, Failed, Outcome, Released, Retrying, Succeeded, TaskStatus
from ...serialization import history_after


def values_of(outcome: Outcome) -> list[Any]:
    """Return an outcome's values; a delay of '' keeps the due time, and so the place in the queue."""
    claim = outcome.claim
    head = [claim.job.id, claim.token]
    match outcome:
        case Succeeded(result=result, log=log):
            return [*head, TaskStatus.SUCCESS.value, result, "", "", log or ""]
        case Failed(attempt=attempt, log=log):
            return [*head, TaskStatus.FAILURE.value, "", history_after(claim, attempt), "", log or ""]
        case Cancelled(attempt=attempt, log=log):
            return [*head, TaskStatus.CANCELLED.value, "", history_after(claim, attempt), "", log or ""]
        case Retrying(attempt=attempt, delay=delay, log=log):
            status = TaskStatus.RETRY if delay > 0 else TaskStatus.PENDING
            return [*head, status.value, "", history_after(claim, attempt), int(delay * 1_000_000), log or ""]
        case Released(delay=delay) if delay > 0:
            return [*head, TaskStatus.SCHEDULED.value, "", "", int(delay * 1_000_000), ""]
        case Released():
            return [*head, TaskStatus.PENDING.value, "", "", "", ""]
