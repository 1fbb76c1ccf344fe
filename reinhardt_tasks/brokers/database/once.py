"""Once keys: when they are given back, and what a second job under one does to the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...jobs import Job, TaskStatus, debounced_to
from ...timestamps import from_micros, to_micros
from . import gates
from .dialects import JOBS, marks
from .people import WAITING

if TYPE_CHECKING:
    from .dialects import Dialect


def free_keys(cursor: Any, dialect: Dialect, ids: Sequence[str]) -> None:
    """Free the once keys of those jobs that hold theirs no longer; see `Job.once_until`."""
    wanted = [dialect.id_param(id_) for id_ in ids]
    cursor.execute(
        f"UPDATE {JOBS} SET once_key = NULL WHERE id IN ({marks(wanted)}) AND once_key IS NOT NULL "
        "AND once_until IS NOT NULL AND (token > 0 AND once_until = 'started' OR finished_at IS NOT NULL)",
        wanted,
    )


def put_off(cursor: Any, dialect: Dialect, first: Job, job: Job) -> Job | None:
    """Let `first` wait anew, with the arguments of `job`; return it, or None where it waits no longer."""
    cursor.execute(f"SELECT {dialect.now}")
    now = from_micros(int(cursor.fetchone()[0]))
    due = debounced_to(job, first, now)
    sets = ["payload = %s"]
    params: list[Any] = [job.payload]
    changed = replace(first, payload=job.payload)
    if due > now or first.status is not TaskStatus.PENDING:
        status = TaskStatus.SCHEDULED if due > now else TaskStatus.PENDING
        changed = replace(changed, run_after=due, due_at=due, status=status)
        at = to_micros(due)
        sets += ["run_after = %s", "due_at = %s", "status = 'SCHEDULED'", "lane = NULL", "wakes_at = %s"]
        params += [at, at, at]
    id_ = dialect.id_param(first.id)
    cursor.execute(
        f"UPDATE {JOBS} SET {', '.join(sets)} WHERE id = %s AND once_key = %s AND held_by IS NULL AND {WAITING}",
        [*params, id_, job.once_key],
    )
    if not cursor.rowcount:
        return None
    if len(sets) > 1 and first.limits:
        gates.restart(cursor, dialect, [first.id])
    return changed
