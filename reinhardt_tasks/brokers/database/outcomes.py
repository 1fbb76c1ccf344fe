"""Outcomes as rows of `OUTCOME_COLUMNS`: what each kind writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...jobs import Cancelled, Failed, Outcome, Released, Retrying, Succeeded, TaskStatus
from ...models import lane_of
from ...serialization import history_after

if TYPE_CHECKING:
    from .dialects import Dialect

#: Outcomes in one statement, and letters of their results, histories and logs together: MariaDB and MySQL refuse a statement
#: of more than `max_allowed_packet`, 16 MB by default, and a letter may take four bytes.
ROWS, LETTERS = 500, 3_000_000

#: Outcomes with their rows, for one statement.
Group = list[tuple[Outcome, list[Any]]]


def groups_of(outcomes: Sequence[Outcome], dialect: Dialect) -> list[Group]:
    """Return outcomes with their rows in groups that one statement takes; one that is too long for any stands alone."""
    groups: list[Group] = []
    left = 0
    for outcome in outcomes:
        row = row_of(outcome, dialect)
        _, _, _, result, history, _, _, log = row
        letters = sum(len(text) for text in (result, history, log) if text is not None)
        left -= letters
        if not groups or left < 0 or len(groups[-1]) == ROWS:
            groups.append([])
            left = LETTERS - letters
        groups[-1].append((outcome, row))
    return groups


def row_of(outcome: Outcome, dialect: Dialect) -> list[Any]:
    """Return (id, token, status, result, history, lane, delay in microseconds, log); a delay of None keeps the due time."""
    claim = outcome.claim
    head = [dialect.id_param(claim.job.id), claim.token]
    lane = lane_of(claim.job.backend, claim.job.queue)
    match outcome:
        case Succeeded(result=result, log=log):
            return [*head, TaskStatus.SUCCESS.value, result, None, None, None, log]
        case Failed(attempt=attempt, log=log):
            return [*head, TaskStatus.FAILURE.value, None, history_after(claim, attempt), None, None, log]
        case Cancelled(attempt=attempt, log=log):
            return [*head, TaskStatus.CANCELLED.value, None, history_after(claim, attempt), None, None, log]
        case Retrying(attempt=attempt, delay=delay, log=log):
            status = TaskStatus.RETRY if delay > 0 else TaskStatus.PENDING
            return [*head, status.value, None, history_after(claim, attempt), lane, int(delay * 1_000_000), log]
        case Released(delay=delay) if delay > 0:
            return [*head, TaskStatus.SCHEDULED.value, None, None, lane, int(delay * 1_000_000), None]
        case Released():
            # As if it had never been claimed: it keeps its due time, and so its place in the queue.
            return [*head, TaskStatus.PENDING.value, None, None, lane, None, None]
