"""The line before each key: who is let past it next. Only while the key's row is locked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...gates import Limit
from ...models import TicketRow
from .dialects import JOBS, LIMITS, TICKETS, marks
from .rows import limits_of, uuid_text

if TYPE_CHECKING:
    from .dialects import Dialect

PARKED, PASSED = TicketRow.PARKED, TicketRow.PASSED


class Keys:
    """The keys that this transaction has locked, and what they allow."""

    def __init__(self, cursor: Any, dialect: Dialect, now: int) -> None:
        self._cursor = cursor
        self._dialect = dialect
        self._now = now
        self._rules: dict[str, Limit] = {}
        self._reach: dict[str, int] = {}
        self._said_by: dict[str, str] = {}
        self._changed: set[str] = set()
        #: Whether somebody was let past one limit and has to pass another.
        self.has_called = False
        self.opened_sets = f"status = 'PENDING', wakes_at = NULL, lane = {dialect.lane_expression}"

    def lock(self, limits: Iterable[Limit]) -> None:
        """Lock keys, and make those that are new; pass over those that others have locked."""
        wanted = {limit.key: limit for limit in limits}
        self._lock(sorted(wanted))
        missing = sorted(wanted.keys() - self._rules.keys())
        if not missing:
            return
        self._cursor.execute(f"SELECT limit_key FROM {LIMITS} WHERE limit_key IN ({marks(missing)})", missing)
        known = {key for (key,) in self._cursor.fetchall()}
        new = [wanted[key] for key in missing if key not in known]
        if new:
            rows = ", ".join(["(%s, %s, %s, 0, '')"] * len(new))
            self._dialect.insert(
                self._cursor,
                f"INSERT INTO {LIMITS} (limit_key, size, every, reach, said_by) VALUES {rows}",
                [value for limit in new for value in (limit.key, limit.size, limit.every)],
                None,
            )
            self._lock([limit.key for limit in new])

    def has_all(self, limits: Sequence[Limit]) -> bool:
        return all(limit.key in self._rules for limit in limits)

    def learn(self, job_id: Any, limits: Sequence[Limit]) -> None:
        """Let the youngest job say what its keys allow."""
        id_ = uuid_text(job_id)
        for limit in limits:
            if self._said_by[limit.key] <= id_:
                self._said_by[limit.key] = id_
                if self._rules[limit.key] != limit:
                    self._rules[limit.key] = limit
                self._changed.add(limit.key)

    def note_start(self, key: str, moment: int) -> None:
        self._reach[key] = self._rules[key].reach_after(self._reach[key], moment)
        self._changed.add(key)

    def fill(self, key: str, has_arrived: bool) -> None:
        """Let the first in line pass, as far as there is room."""
        rule = self._rules[key]
        held = self._held(key, rule.size)
        for job_id, _, _, keys in self._first(key, rule.size - held):
            self._pass(job_id, key, rule.opens_at(self._reach[key], held, self._now), keys)
            held += 1
        while has_arrived and held >= rule.size and self._overtake(key):
            pass

    def save(self) -> None:
        for key in sorted(self._changed):
            rule = self._rules[key]
            self._cursor.execute(
                f"UPDATE {LIMITS} SET size = %s, every = %s, reach = %s, said_by = %s WHERE limit_key = %s",
                [rule.size, rule.every, self._reach[key], self._said_by[key], key],
            )

    def _lock(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        self._cursor.execute(
            f"SELECT limit_key, size, every, reach, said_by FROM {LIMITS} WHERE limit_key IN ({marks(keys)}) "
            f"ORDER BY limit_key {self._dialect.skip_locked}",
            list(keys),
        )
        for key, size, every, reach, said_by in self._cursor.fetchall():
            self._rules[key] = Limit(key=key, size=size, every=every)
            self._reach[key], self._said_by[key] = reach, said_by

    def _held(self, key: str, size: int) -> int:
        # With their jobs: a row that somebody deleted by hand must not keep a slot for ever.
        self._cursor.execute(
            f"SELECT COUNT(*) FROM (SELECT t.job_id FROM {TICKETS} t JOIN {JOBS} j ON j.id = t.job_id "
            f"WHERE t.limit_key = %s AND t.place = {PASSED} LIMIT %s) AS bounded",
            [key, size],
        )
        count: int = self._cursor.fetchone()[0]
        return count

    def _first(self, key: str, number: int) -> list[Any]:
        """Return the first in line: job, precedence, due time, its keys."""
        if number <= 0:
            return []
        self._cursor.execute(
            f"SELECT t.job_id, t.precedence, t.due_at, j.alias, j.limits FROM {TICKETS} t JOIN {JOBS} j ON j.id = t.job_id "
            f"WHERE t.limit_key = %s AND t.place = {PARKED} ORDER BY t.precedence, t.due_at, t.job_id LIMIT %s "
            f"{self._dialect.skip_locked}",
            [key, number],
        )
        return [(*head, _keys_in(alias, limits)) for *head, alias, limits in self._cursor.fetchall()]

    def _pass(self, job_id: Any, key: str, opens_at: int, its_keys: Sequence[str]) -> None:
        self._cursor.execute(
            f"UPDATE {TICKETS} SET place = {PASSED}, opens_at = %s WHERE job_id = %s AND limit_key = %s",
            [opens_at, job_id, key],
        )
        if opens_at > self._now:
            self._cursor.execute(f"UPDATE {JOBS} SET wakes_at = %s WHERE id = %s", [opens_at, job_id])
        elif its_keys[-1] == key:
            set_jobs(self._cursor, [job_id], self.opened_sets)
        else:
            self._cursor.execute(f"UPDATE {JOBS} SET wakes_at = %s WHERE id = %s", [self._now, job_id])
            self.has_called = True

    def _overtake(self, key: str) -> bool:
        """Let the first in line take the place of a later one that nobody has claimed yet. Return whether there was one."""
        first = self._first(key, 1)
        if not first:
            return False
        job_id, precedence, due_at, its_keys = first[0]
        self._cursor.execute(
            "SELECT t.job_id, t.precedence, t.due_at, t.opens_at, j.alias, j.limits "
            f"FROM {TICKETS} t JOIN {JOBS} j ON j.id = t.job_id WHERE t.limit_key = %s AND t.place = {PASSED} "
            "AND j.status = 'PENDING' AND j.held_by IS NULL "
            f"ORDER BY t.precedence DESC, t.due_at DESC, t.job_id DESC LIMIT 1 {self._dialect.skip_locked}",
            [key],
        )
        row = self._cursor.fetchone()
        if row is None or (row[1], row[2], str(row[0])) <= (precedence, due_at, str(job_id)):
            return False
        last, opens_at, keys_of_last = row[0], row[3], _keys_in(*row[4:])
        # It keeps what comes before this limit, and gives back what comes behind.
        behind = keys_of_last[keys_of_last.index(key) + 1 :]
        for other in behind:
            self._cursor.execute(f"DELETE FROM {TICKETS} WHERE job_id = %s AND limit_key = %s", [last, other])
        self._cursor.execute(
            f"UPDATE {TICKETS} SET place = {PARKED}, opens_at = NULL WHERE job_id = %s AND limit_key = %s", [last, key]
        )
        set_jobs(self._cursor, [last], "lane = NULL, wakes_at = NULL")
        call_first(self._cursor, self._dialect, behind)
        self.has_called = self.has_called or bool(behind)
        self._pass(job_id, key, opens_at or self._now, its_keys)
        return True


def call_first(cursor: Any, dialect: Dialect, keys: Iterable[str]) -> None:
    """Let the first in line of each key knock, since there may be room."""
    for key in sorted(keys):
        cursor.execute(
            f"SELECT t.job_id FROM {TICKETS} t WHERE t.limit_key = %s AND t.place = {PARKED} "
            "ORDER BY t.precedence, t.due_at, t.job_id LIMIT 1",
            [key],
        )
        if (row := cursor.fetchone()) is not None:
            cursor.execute(f"UPDATE {JOBS} SET wakes_at = {dialect.now} WHERE id = %s AND wakes_at IS NULL", [row[0]])


def prefixed(alias: str, text: str) -> tuple[Limit, ...]:
    """Return a job's limits; backends that share a database do not share keys."""
    found = {limit.key: replace(limit, key=f"{alias}:{limit.key}") for limit in limits_of(text)}
    return tuple(found.values())


def _keys_in(alias: str, text: str) -> list[str]:
    return [limit.key for limit in prefixed(alias, text)]


def set_jobs(cursor: Any, ids: Sequence[Any], sets: str) -> None:
    if ids:
        cursor.execute(f"UPDATE {JOBS} SET {sets} WHERE id IN ({marks(ids)})", list(ids))
