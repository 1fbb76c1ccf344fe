"""What is on record of a workflow, without a word of what the queue knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Min, Sum

from ..jobs import TaskStatus
from ..models import StepRow, WorkflowRow
from ..workflow_states import ChainStatus, StepStatus
from .ids import step_id
from .places import database, steps_in
from .sources import Found, positions_of, value_of

#: Positions that are named one by one; of more, all that lie between the first and the last are read.
FEW = 500


def status_of(workflow: str) -> ChainStatus:
    """Return a workflow's state; PENDING where it is not (or not yet) stored."""
    rows = WorkflowRow.objects.using(database()).filter(pk=workflow)
    return ChainStatus(rows.values_list("status", flat=True).first() or ChainStatus.PENDING)


def through(workflow: str, positions: Sequence[int]) -> list[bool]:
    """Return of each step whether what follows it may begin."""
    rows = steps_in(database(), workflow).filter(position__in=positions, is_through=True)
    done = set(rows.values_list("position", flat=True))
    return [position in done for position in positions]


def counts_of(workflow: str) -> dict[StepStatus, int]:
    """Return how many steps are in each state."""
    rows = steps_in(database(), workflow).filter(is_gate=False)
    return {StepStatus(status): number for status, number in rows.values_list("status").annotate(number=Count("pk"))}


def has_for_each(workflow: str) -> bool:
    """Return whether one of its steps is run for each item of something."""
    return steps_in(database(), workflow).filter(over__isnull=False).exists()


def progress_of(workflow: str) -> tuple[int, int]:
    """Return how many steps have ended, of how many."""
    counts = counts_of(workflow)
    return sum(number for status, number in counts.items() if status.is_finished), sum(counts.values())


def counts_of_all(workflows: Sequence[str]) -> dict[str, Counter[StepStatus]]:
    """Return of each workflow how many steps are in each state: one look, which counts all of their steps."""
    if not workflows:
        return {}
    rows = StepRow.objects.using(database()).filter(workflow_id__in=[UUID(id_) for id_ in workflows], is_gate=False)
    found: dict[str, Counter[StepStatus]] = {workflow: Counter() for workflow in workflows}
    for workflow, status, number in rows.values_list("workflow_id", "status").annotate(number=Count("pk")).order_by():
        found[str(workflow)][StepStatus(status)] = number
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Members:
    """How far those are for which a step was laid out."""

    done: int
    total: int
    state: StepStatus | TaskStatus
    #: Of those that have ended; how often the others were tried, the queue knows.
    attempts: int
    started_at: datetime | None
    #: None as long as one of them has not ended.
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Some:
    """Members that are in one state."""

    status: StepStatus
    is_through: bool
    number: int
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None


def members_of(workflow: str, steps: Sequence[StepRow]) -> dict[int, Members]:
    """Return, by their positions, how far the members are of those of these steps that were laid out."""
    expanded = {row.position for row in steps if row.over is not None and row.is_gate}
    if not expanded:
        return {}
    found: dict[int, list[_Some]] = {position: [] for position in expanded}
    rows = steps_in(database(), workflow).filter(member_of__in=expanded, is_gate=False)
    kinds = rows.values_list("member_of", "status", "is_through").annotate(
        number=Count("pk"), tried=Sum("attempts"), first=Min("started_at"), last=Max("finished_at")
    )
    for position, status, is_through, number, attempts, first, last in kinds:
        found[position].append(
            _Some(
                status=StepStatus(status),
                is_through=is_through,
                number=number,
                attempts=attempts,
                started_at=first,
                finished_at=last,
            )
        )
    return {position: _members(some) for position, some in found.items()}


def _members(kinds: Sequence[_Some]) -> Members:
    total = sum(some.number for some in kinds)
    done = sum(some.number for some in kinds if some.status.is_finished)
    stopped = {some.status for some in kinds if some.status.is_finished and not some.is_through}
    state: StepStatus | TaskStatus
    if stopped:
        state = StepStatus.FAILURE if StepStatus.FAILURE in stopped else StepStatus.CANCELLED
    else:
        state = StepStatus.SUCCESS if done == total else TaskStatus.RUNNING
    return Members(
        done=done,
        total=total,
        state=state,
        attempts=sum(some.attempts for some in kinds),
        started_at=min((some.started_at for some in kinds if some.started_at is not None), default=None),
        finished_at=max((some.finished_at for some in kinds if some.finished_at is not None), default=None)
        if done == total
        else None,
    )


def values_of(workflow: str, sources: Sequence[Any]) -> list[Any]:
    """Return the values of sources, by one look at the steps. Raise LookupError for one that has no result (yet)."""
    wanted = {position for source in sources for position in positions_of(source)}
    if not wanted:
        return [value_of(source, {}) for source in sources]
    rows = StepRow.objects.using(database())
    if len(wanted) > FEW:
        rows = steps_in(database(), workflow).filter(position__gte=min(wanted), position__lte=max(wanted))
    else:
        rows = rows.filter(pk__in=[step_id(workflow, position) for position in wanted])
    found = {
        position: Found(name or task.rpartition(".")[2], status, result, error, instead)
        for position, name, task, status, result, error, instead in rows.values_list(
            "position", "name", "task", "status", "result", "error", "instead"
        )
        if position in wanted
    }
    return [value_of(source, found) for source in sources]
