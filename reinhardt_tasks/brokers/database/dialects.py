"""SQL as SQLite and PostgreSQL both speak it. Each dialect is this with a few methods of its own, and nothing else differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...log_lines import LOG_LETTERS
from .rows import COLUMNS, RATED

JOBS = "reinhardt_tasks_job"
WORKERS = "reinhardt_tasks_worker"
PAUSES = "reinhardt_tasks_pause"
LIMITS = "reinhardt_tasks_limit"
TICKETS = "reinhardt_tasks_ticket"

#: Where a claim's search begins: (precedence, due_at, id) of the last job that was taken.
Front = tuple[int, int, str]


class Stretch(NamedTuple):
    """A part of what a claim looks through: the ready jobs of one kind in one lane, one after the other in the index."""

    lane: str
    is_async: bool
    #: How many of this kind the claim may take, from all lanes together.
    room: int
    #: Where to begin; None is the first.
    front: Front | None = None


#: The columns that an outcome brings, see `Dialect.settle`.
OUTCOME_COLUMNS = ("id", "token", "status", "result", "history", "lane", "delay", "log")

Row = Sequence[Any]


def marks(values: Sized) -> str:
    """Return as many parameters of a statement as there are values."""
    return ", ".join(["%s"] * len(values))


# A "loose index scan": https://wiki.postgresql.org/wiki/Loose_indexscan. Not by MIN(lane), for which PostgreSQL reads all that is
# ready as long as it believes that nothing is.
_READY_LANES = (
    f"WITH RECURSIVE t(lane) AS (SELECT (SELECT lane FROM {JOBS} WHERE lane > '' ORDER BY lane LIMIT 1) UNION ALL "
    f"SELECT (SELECT j.lane FROM {JOBS} j WHERE j.lane > t.lane ORDER BY j.lane LIMIT 1) FROM t WHERE t.lane IS NOT NULL) "
    "SELECT lane FROM t WHERE lane IS NOT NULL"
)

# A job whose cancellation was asked for ends as cancelled, whatever else was about to become of it, but for a failure.
_CANCELS = "(j.cancel_requested AND v.status <> 'FAILURE')"


class Dialect:
    """The statements of a broker. The vendors' own are in the modules beside this one."""

    #: The store's clock, in microseconds since 1970.
    now: str
    true, false = "TRUE", "FALSE"
    #: Whether a column of values can be sent as one parameter.
    has_arrays = False
    #: Seconds between two looks at the tables by an idle worker, as a multiple of its `poll_interval`: where a change is told,
    #: looking is for what was told to nobody.
    look_factor = 1.0
    #: Parameters whose type the database cannot guess where they stand.
    text_mark, whole_mark = "%s", "%s"
    lane_expression = "alias || ':' || queue"
    #: See `log_lines.joined_log`.
    joined_log = f"COALESCE(substr(j.log, -{LOG_LETTERS}), '') || v.log"
    #: What `settle` gives back. SQLite knows no table's name there, PostgreSQL must have it.
    written = "id, status"
    #: Written behind a SELECT that locks what it reads.
    lock = ""
    #: Rows in one INSERT: bounded by the parameters that a statement may have.
    insert_rows = 500
    #: Whether claims may begin at a Front. Only where dead entries of an index stay in the way of the living.
    uses_fronts = False
    #: Written behind a SELECT that locks what it reads and passes over what others have locked.
    skip_locked = ""
    #: Whether a row is among those that a statement has `picked`.
    is_picked = "id IN (SELECT id FROM picked)"
    #: Whether an index may have some of the rows only.
    has_partial_indexes = True
    #: Whether each verb below is one statement, and so needs no transaction of its own.
    is_single = True

    def id_param(self, id_: str) -> Any:
        return id_

    @contextmanager
    def transaction(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        with transaction.atomic(using=connection.alias):
            yield

    def is_conflict(self, exc: BaseException) -> bool:
        """Return whether a statement only lost a race, and may be sent again."""
        return False

    def insert(self, cursor: Any, sql: str, params: Sequence[Any], notify: str | None) -> int:
        """Run an INSERT that passes over rows that are there; return how many it made, −1 where that cannot be told.

        Wakes the workers that listen, where there is a way.
        """
        cursor.execute(f"{sql} ON CONFLICT DO NOTHING", params)
        count: int = cursor.rowcount
        return count

    def claim(self, cursor: Any, stretches: Sequence[Stretch], limit: int, worker: str) -> list[Row]:
        """Take ready jobs of some stretches, `limit` at most; return their rows, as they are now, in any order."""
        raise NotImplementedError

    def timed_claim(
        self, cursor: Any, stretches: Sequence[Stretch], limit: int, worker: str
    ) -> tuple[list[Row], float]:
        """See `claim`; return the seconds, too, that it took to find them. For those who use fronts."""
        raise NotImplementedError

    def ready_lanes(self, cursor: Any) -> list[str]:
        """Return which lanes have something ready: one step down the index for each, where a DISTINCT would walk the backlog."""
        cursor.execute(_READY_LANES)
        return [lane for (lane,) in cursor.fetchall()]

    def first_of(self, found: str, stretches: Sequence[Stretch]) -> str:
        """Return a SELECT of the ids to be taken among those `found` in these stretches; its parameter is the limit."""
        if len({its.lane for its in stretches}) > 1:
            # Each lane has given as many of a kind as may be taken from all of them.
            found = (
                "(SELECT id, precedence, due_at, room, row_number() OVER ("
                f"PARTITION BY is_async ORDER BY precedence, due_at, id) AS place FROM {found}) AS numbered "
                "WHERE place <= room"
            )
        return f"SELECT id FROM {found} ORDER BY precedence, due_at, id LIMIT %s"

    def take_over(self, cursor: Any, dead: Sequence[str], limit: int, worker: str) -> list[Row]:
        """Hold what dead workers held. `worker` and `last_attempted_at` stay as they were: they tell of the lost one."""
        cursor.execute(
            # Materialized: PostgreSQL may otherwise look anew for each row that it meets, and pass over those it has locked.
            f"WITH picked AS MATERIALIZED (SELECT id FROM {JOBS} WHERE held_by IN ({marks(dead)}) LIMIT %s {self.skip_locked}) "
            f"UPDATE {JOBS} SET held_by = %s, token = token + 1 WHERE {self.is_picked} "
            f"RETURNING {', '.join(COLUMNS)}",
            [*dead, limit, worker],
        )
        rows: list[Row] = cursor.fetchall()
        return rows

    def promote(self, cursor: Any, limit: int) -> bool:
        """Make ready what is due, at most `limit` jobs. Return whether there are limited ones among them: those knock still."""
        cursor.execute(
            f"WITH picked AS MATERIALIZED (SELECT id FROM {JOBS} WHERE {self.is_awake} "
            f"ORDER BY wakes_at LIMIT %s {self.skip_locked}) "
            f"UPDATE {JOBS} SET status = CASE WHEN limits IS NULL THEN 'PENDING' ELSE status END, "
            f"lane = CASE WHEN limits IS NULL THEN {self.lane_expression} ELSE lane END, "
            f"wakes_at = CASE WHEN limits IS NOT NULL THEN wakes_at END WHERE {self.is_picked} "
            "RETURNING CASE WHEN limits IS NULL THEN 0 ELSE 1 END",
            [limit],
        )
        return any(knocks for (knocks,) in cursor.fetchall())

    def settle(self, cursor: Any, rows: Sequence[Row]) -> dict[str, str]:
        """Write outcomes (rows of OUTCOME_COLUMNS) where the token is still right; return id → status of those written."""
        mark = f"({self.outcome_mark()})"
        cursor.execute(
            f"WITH v({', '.join(OUTCOME_COLUMNS)}) AS (VALUES {', '.join([mark] * len(rows))}) "
            f"UPDATE {JOBS} AS j SET {self.settle_sets()} FROM v "
            f"WHERE j.id = v.id AND j.token = v.token AND j.held_by IS NOT NULL RETURNING {self.written}",
            [value for row in rows for value in row],
        )
        return {str(id_): status for id_, status in cursor.fetchall()}

    @property
    def is_awake(self) -> str:
        """Whether a job's time to be looked at has come; found by the index, however many wait behind it."""
        # A clock that goes on within a statement is nothing to look up in an index; what a SELECT has read of it is. And
        # PostgreSQL takes a third of all rows for earlier than that, unless it is told that most have no such moment.
        return f"wakes_at IS NOT NULL AND wakes_at <= (SELECT {self.now})"

    def outcome_mark(self) -> str:
        return marks(OUTCOME_COLUMNS)

    def settle_sets(self, prefix: str = "") -> str:
        final = "v.status IN ('SUCCESS', 'FAILURE', 'CANCELLED')"
        sets = {
            "status": f"CASE WHEN {_CANCELS} THEN 'CANCELLED' ELSE v.status END",
            "result": f"CASE WHEN {_CANCELS} THEN NULL ELSE v.result END",
            "history": "COALESCE(v.history, j.history)",
            "log": f"CASE WHEN v.log IS NULL THEN j.log ELSE {self.joined_log} END",
            "finished_at": f"CASE WHEN {_CANCELS} OR {final} THEN {self.now} END",
            "lane": f"CASE WHEN v.status = 'PENDING' AND j.limits IS NULL AND NOT {_CANCELS} THEN v.lane END",
            "wakes_at": f"CASE WHEN j.limits IS NOT NULL THEN {self.now} "
            f"WHEN v.status IN ('RETRY', 'SCHEDULED') AND NOT {_CANCELS} THEN {self.now} + v.delay END",
            "due_at": f"CASE WHEN v.delay IS NULL THEN j.due_at ELSE {self.now} + v.delay END",
            "held_by": "NULL",
        }
        return ", ".join(f"{prefix}{column} = {value}" for column, value in sets.items())

    def upsert_worker(self, columns: Sequence[str], updated: Sequence[str], values: Sequence[str]) -> str:
        sets = ", ".join(f"{column} = excluded.{column}" for column in updated)
        return (
            f"INSERT INTO {WORKERS} ({', '.join(columns)}) VALUES ({', '.join(values)}) "
            f"ON CONFLICT (id) DO UPDATE SET {sets}"
        )

    def hold_sets(self) -> str:
        return (
            "status = 'RUNNING', lane = NULL, held_by = %s, worker = %s, token = token + 1, "
            # In the statement that claims: whoever enqueues between two would be given a job that runs already.
            "once_key = CASE WHEN once_until = 'started' THEN NULL ELSE once_key END, "
            f"last_attempted_at = {self.now}, started_at = COALESCE(started_at, {self.now}), "
            f"wakes_at = CASE WHEN limits LIKE '{RATED}%%' THEN {self.now} END"
        )

    def is_alive(self) -> str:
        # A worker that was suspended past its lease must not claim before it has signed in again: what it took would be
        # taken from it at once.
        return f"EXISTS (SELECT 1 FROM {WORKERS} WHERE id = %s AND expires_at > {self.now})"

    def is_open(self, lane: str) -> str:
        return f"NOT EXISTS (SELECT 1 FROM {PAUSES} p WHERE p.lane = {lane})"
