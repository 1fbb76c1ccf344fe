"""How limited jobs get into their lanes: they knock, and a worker attends to them in a short transaction of its own.

A job with limits knocks, by `wakes_at`, in the very statement that changes something about it: when it is enqueued, claimed
(where a rate counts that), settled, cancelled, changed. `attend` finds those that knock, gives back what they hold or lets
them in line, and lets the first in line go on. So nobody's own transaction ever waits for a key's lock or keeps it, and
whoever dies between the two has left the knock for others: nothing leaks, and nothing is counted but rows that are there.

What is parked lies in no lane and does not knock; it is found by its key's index alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...gates import Limit
from ...jobs import WAITING, TaskStatus
from .dialects import JOBS, LIMITS, TICKETS, marks
from .lines import PARKED, PASSED, Keys, call_first, prefixed, set_jobs
from .rows import uuid_text

if TYPE_CHECKING:
    from .dialects import Dialect

#: Jobs that one transaction attends to.
BATCH = 500

_WAITING = tuple(status.value for status in WAITING)


@dataclass(frozen=True, slots=True)
class _Knocker:
    """A job that knocks. `id` is as the database has it."""

    id: Any
    token: int
    status: str
    precedence: int
    due_at: int
    began_at: int | None
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class _Ticket:
    key: str
    place: int
    token: int
    opens_at: int | None


def attend(cursor: Any, dialect: Dialect) -> bool:
    """Attend to those that knock, as far as nobody else does. Return whether it is worth looking again at once."""
    now, jobs, is_full = _knocking(cursor, dialect)
    keys = Keys(cursor, dialect, now)
    keys.lock(limit for job in jobs for limit in job.limits)
    # Somebody is at work on one of its keys: it goes on knocking.
    jobs = [job for job in jobs if keys.has_all(job.limits)]
    if not jobs:
        return False
    found = _tickets(cursor, jobs)
    visit = _Visit(now, keys)
    for job in jobs:
        visit.see(job, found[uuid_text(job.id)])
    visit.write(cursor)
    for key in sorted(visit.touched):
        keys.fill(key, visit.arrived_at.get(key, False))
    keys.save()
    return is_full or keys.has_called


def forget(cursor: Any, dialect: Dialect, ids: Sequence[Any]) -> None:
    """Take jobs that are about to be deleted out of all lines; let the next ones knock."""
    keys = _keys_of(cursor, ids)
    if keys:
        cursor.execute(f"DELETE FROM {TICKETS} WHERE job_id IN ({marks(ids)})", list(ids))
        call_first(cursor, dialect, keys)


def restart(cursor: Any, dialect: Dialect, ids: Sequence[str]) -> None:
    """Let limited jobs that were changed begin anew, with the place in line that is theirs now."""
    wanted = [dialect.id_param(id_) for id_ in ids]
    cursor.execute(
        f"UPDATE {JOBS} SET wakes_at = {dialect.now}, lane = NULL WHERE id IN ({marks(wanted)}) AND limits IS NOT NULL",
        wanted,
    )
    if cursor.rowcount:
        cursor.execute(f"UPDATE {TICKETS} SET token = -1 WHERE job_id IN ({marks(wanted)})", wanted)


def idle(cursor: Any, dialect: Dialect, after: str, limit: int) -> tuple[list[str], str]:
    """Look at up to `limit` rules behind the key `after`. Return those that nobody needs any more, as it seems, and where to
    go on ('': from the beginning)."""
    cursor.execute(
        f"SELECT l.limit_key, CASE WHEN {_is_idle(dialect, 'l')} THEN 1 ELSE 0 END "
        f"FROM {LIMITS} l WHERE l.limit_key > %s ORDER BY l.limit_key LIMIT %s",
        [after, limit],
    )
    rows = cursor.fetchall()
    return [key for key, is_idle in rows if is_idle], rows[-1][0] if len(rows) == limit else ""


def drop(cursor: Any, dialect: Dialect, keys: Sequence[str]) -> None:
    """Delete those rules of `keys` that nobody needs any more. Runs in a transaction of its caller's."""
    cursor.execute(
        f"SELECT limit_key FROM {LIMITS} WHERE limit_key IN ({marks(keys)}) ORDER BY limit_key {dialect.skip_locked}",
        list(keys),
    )
    locked = [key for (key,) in cursor.fetchall()]
    if locked:
        # Once more, now that nobody else can let a job pass: with a rule that is in use goes what it has counted.
        cursor.execute(
            f"DELETE FROM {LIMITS} WHERE limit_key IN ({marks(locked)}) AND {_is_idle(dialect, LIMITS)}", locked
        )


class _Visit:
    """Decides what becomes of those that knock; `write` writes it down at once."""

    def __init__(self, now: int, keys: Keys) -> None:
        self._now = now
        self._keys = keys
        #: Keys at which something has become free, or somebody has come.
        self.touched: set[str] = set()
        self.arrived_at: dict[str, bool] = {}
        self._empty_handed: list[Any] = []
        self._dropped: list[tuple[Any, str]] = []
        self._parked: list[tuple[Any, ...]] = []
        self._open: list[Any] = []
        self._quiet: list[Any] = []
        self._later: list[tuple[int, Any]] = []

    def see(self, job: _Knocker, tickets: Sequence[_Ticket]) -> None:
        tickets = [ticket for ticket in tickets if not self._counts_as_start(job, ticket)]
        if job.status == TaskStatus.RUNNING:
            self._quiet.append(job.id)
        elif job.status not in _WAITING:
            self._drop(job, tickets)
            self._quiet.append(job.id)
        elif job.due_at > self._now:
            self._drop(job, tickets)
            self._later.append((job.due_at, job.id))
        else:
            if any(ticket.token != job.token for ticket in tickets):
                self._drop(job, tickets)
                tickets = []
            self._go_on(job, tickets)

    def _counts_as_start(self, job: _Knocker, ticket: _Ticket) -> bool:
        """Count a start where a job was claimed since it got a rate's ticket, and take that. It may have ended already."""
        is_rate = any(limit.every and limit.key == ticket.key for limit in job.limits)
        if not is_rate or ticket.place != PASSED or not 0 <= ticket.token < job.token:
            return False
        self._keys.note_start(ticket.key, job.began_at or self._now)
        self._dropped.append((job.id, ticket.key))
        self.touched.add(ticket.key)
        return True

    def _go_on(self, job: _Knocker, tickets: Sequence[_Ticket]) -> None:
        passed = {ticket.key: ticket for ticket in tickets if ticket.place == PASSED}
        opens_at = max((ticket.opens_at or 0 for ticket in tickets), default=0)
        missing = [limit for limit in job.limits if limit.key not in passed]
        if any(ticket.place == PARKED for ticket in tickets):
            # It was called since there may be room.
            self._quiet.append(job.id)
            self.touched |= {ticket.key for ticket in tickets if ticket.place == PARKED}
        elif opens_at > self._now:
            self._later.append((opens_at, job.id))
        elif missing:
            limit = missing[0]
            self._keys.learn(job.id, job.limits)
            self._parked.append((job.id, limit.key, PARKED, job.token, job.precedence, job.due_at))
            self._quiet.append(job.id)
            self.touched.add(limit.key)
            self.arrived_at[limit.key] = True
        else:
            self._open.append(job.id)

    def _drop(self, job: _Knocker, tickets: Sequence[_Ticket]) -> None:
        """Give back all that a job has."""
        if tickets:
            self._empty_handed.append(job.id)
            self.touched |= {ticket.key for ticket in tickets}

    def write(self, cursor: Any) -> None:
        if self._empty_handed:
            cursor.execute(f"DELETE FROM {TICKETS} WHERE job_id IN ({marks(self._empty_handed)})", self._empty_handed)
        for job_id, key in self._dropped:
            cursor.execute(f"DELETE FROM {TICKETS} WHERE job_id = %s AND limit_key = %s", [job_id, key])
        if self._parked:
            rows = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(self._parked))
            cursor.execute(
                f"INSERT INTO {TICKETS} (job_id, limit_key, place, token, precedence, due_at) VALUES {rows}",
                [value for row in self._parked for value in row],
            )
        set_jobs(cursor, self._quiet, "wakes_at = NULL")
        # What was SCHEDULED or RETRY is due, and so PENDING, in line or not.
        set_jobs(cursor, [row[0] for row in self._parked], "status = 'PENDING'")
        set_jobs(cursor, self._open, self._keys.opened_sets)
        for moment, job_id in self._later:
            cursor.execute(f"UPDATE {JOBS} SET wakes_at = %s WHERE id = %s", [moment, job_id])


def _knocking(cursor: Any, dialect: Dialect) -> tuple[int, list[_Knocker], bool]:
    cursor.execute(
        f"SELECT {dialect.now}, id, token, status, precedence, due_at, last_attempted_at, alias, limits FROM {JOBS} "
        f"WHERE {dialect.is_awake} ORDER BY wakes_at LIMIT %s {dialect.skip_locked}",
        [BATCH],
    )
    rows = cursor.fetchall()
    # Those without limits are promoted elsewhere.
    jobs = [
        _Knocker(id_, token, status, precedence, due_at, began_at, prefixed(alias, limits))
        for _, id_, token, status, precedence, due_at, began_at, alias, limits in rows
        if limits is not None
    ]
    return (int(rows[0][0]) if rows else 0), jobs, len(rows) == BATCH


def _is_idle(dialect: Dialect, rule: str) -> str:
    return (
        f"{rule}.reach < {dialect.now} AND NOT EXISTS (SELECT 1 FROM {TICKETS} t WHERE t.limit_key = {rule}.limit_key)"
    )


def _tickets(cursor: Any, jobs: Sequence[_Knocker]) -> dict[str, list[_Ticket]]:
    ids = [job.id for job in jobs]
    cursor.execute(
        f"SELECT job_id, limit_key, place, token, opens_at FROM {TICKETS} WHERE job_id IN ({marks(ids)})", ids
    )
    found: dict[str, list[_Ticket]] = defaultdict(list)
    for job_id, *values in cursor.fetchall():
        found[uuid_text(job_id)].append(_Ticket(*values))
    return found


def _keys_of(cursor: Any, ids: Sequence[Any]) -> list[str]:
    cursor.execute(f"SELECT DISTINCT limit_key FROM {TICKETS} WHERE job_id IN ({marks(ids)})", list(ids))
    return [key for (key,) in cursor.fetchall()]
