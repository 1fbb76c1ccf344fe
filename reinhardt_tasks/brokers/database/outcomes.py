"""Outcomes as rows of `OUTCOME_COLUMNS`: what each kind writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...jobs import Attempt, Cancelled, Claim, Failed, Outcome, Released, Retrying, Succeeded, TaskStatus
from ...models import lane_of
from ...serialization import encode_history

if TYPE_CHECKING:
    from .dialects import Dialect

#: Outcomes in one statement.
ROWS = 500


def row_of(outcome: Outcome, dialect: Dialect) -> list[Any]:
    """Return (id, token, status, result, history, lane, delay in microseconds, log); a delay of None keeps the due time."""
    claim = outcome.claim
    head = [dialect.id_param(claim.job.id), claim.token]
    lane = lane_of(claim.job.backend, claim.job.queue)
    match outcome:
        case Succeeded(result=result, log=log):
            return [*head, TaskStatus.SUCCESS.value, result, None, None, None, log]
        case Failed(attempt=attempt, log=log):
            return [*head, TaskStatus.FAILURE.value, None, _history(claim, attempt), None, None, log]
        case Cancelled(attempt=attempt, log=log):
            return [*head, TaskStatus.CANCELLED.value, None, _history(claim, attempt), None, None, log]
        case Retrying(attempt=attempt, delay=delay, log=log):
            status = TaskStatus.RETRY if delay > 0 else TaskStatus.PENDING
            return [*head, status.value, None, _history(claim, attempt), lane, int(delay * 1_000_000), log]
        case Released(delay=delay) if delay > 0:
            return [*head, TaskStatus.SCHEDULED.value, None, None, lane, int(delay * 1_000_000), None]
        case Released():
            # As if it had never been claimed: it keeps its due time, and so its place in the queue.
            return [*head, TaskStatus.PENDING.value, None, None, lane, None, None]


def _history(claim: Claim, attempt: Attempt) -> str:
    if attempt.finished_at is None:
        attempt = replace(attempt, finished_at=datetime.now(UTC))
    return encode_history((*claim.job.history, attempt))
