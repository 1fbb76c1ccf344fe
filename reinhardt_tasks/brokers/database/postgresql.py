"""PostgreSQL: rows are locked one by one and passed over by others; who listens is told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ...log_lines import LOG_LETTERS
from .dialects import JOBS, OUTCOME_COLUMNS, Dialect, Front, Row, Stretch
from .rows import COLUMNS

#: The front of all fronts. The id is sent as text.
_BEGINNING: Front = (-(2**15), -(2**63), "00000000-0000-0000-0000-000000000000")


class Postgresql(Dialect):
    """Rows are locked one by one and passed over by others; who listens is told."""

    now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    insert_rows = 2000
    has_arrays = True
    look_factor = 2.0
    text_mark, whole_mark = "%s::text", "%s::bigint"
    joined_log = f"COALESCE(right(j.log, {LOG_LETTERS}), '') || v.log"
    written = "j.id, j.status"
    lock = "FOR UPDATE"
    skip_locked = "FOR UPDATE SKIP LOCKED"
    uses_fronts = True
    # An array is looked up in the index, value by value. A join with as many rows as were asked for is done by reading all of
    # the table, until that has some tens of thousands of rows.
    is_picked = "id = ANY (ARRAY(SELECT id FROM picked))"

    def is_conflict(self, exc: BaseException) -> bool:
        cause = exc.__cause__
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        # serialization_failure, deadlock_detected, lock_not_available
        return state in ("40001", "40P01", "55P03")

    def insert(self, cursor: Any, sql: str, params: Sequence[Any], notify: str | None) -> int:
        if notify is None:
            return super().insert(cursor, sql, params, None)
        cursor.execute(
            f"WITH made AS ({sql} ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*), pg_notify(%s, '') FROM made",
            [*params, notify],
        )
        count: int = cursor.fetchone()[0]
        return count

    def settle(self, cursor: Any, rows: Sequence[Row]) -> dict[str, str]:
        # One array for each column: thousands of single parameters cost more to read than the statement takes to run.
        cursor.execute(
            f"UPDATE {JOBS} AS j SET {self.settle_sets()} FROM unnest(%s::uuid[], %s::integer[], %s::text[], %s::text[], "
            f"%s::text[], %s::text[], %s::bigint[], %s::text[]) AS v({', '.join(OUTCOME_COLUMNS)}) "
            f"WHERE j.id = v.id AND j.token = v.token AND j.held_by IS NOT NULL RETURNING {self.written}",
            [list(column) for column in zip(*rows, strict=True)],
        )
        return {str(id_): status for id_, status in cursor.fetchall()}

    def claim(self, cursor: Any, stretches: Sequence[Stretch], limit: int, worker: str) -> list[Row]:
        return self.timed_claim(cursor, stretches, limit, worker)[0]

    def timed_claim(
        self, cursor: Any, stretches: Sequence[Stretch], limit: int, worker: str
    ) -> tuple[list[Row], float]:
        branches, params = [], []
        for kind in {its.is_async: None for its in stretches}:
            its_own = [its for its in stretches if its.is_async is kind]
            # A room that were a column would let the planner guess at a tenth of all jobs, and think of sorting them.
            room = its_own[0].room
            looked_for = [(its.lane, kind, *(its.front or _BEGINNING)) for its in its_own]
            branches.append(
                f"SELECT r.*, s.is_async, {room} AS room FROM unnest("
                "%s::text[], %s::boolean[], %s::smallint[], %s::bigint[], %s::uuid[]) "
                "AS s(lane, is_async, precedence, due_at, id) CROSS JOIN LATERAL ("
                f'SELECT j.id, j.precedence, j.due_at FROM {JOBS} j WHERE j.lane = s.lane COLLATE "C" '
                f"AND j.is_async = s.is_async AND {self.is_open('s.lane')} "
                "AND (j.precedence, j.due_at, j.id) >= (s.precedence, s.due_at, s.id) "
                f"ORDER BY j.precedence, j.due_at, j.id LIMIT {room} FOR UPDATE SKIP LOCKED) r"
            )
            params += [list(column) for column in zip(*looked_for, strict=True)]
        began = time.monotonic()
        cursor.execute(
            f"WITH found AS MATERIALIZED ({' UNION ALL '.join(branches)}), "
            f"picked AS MATERIALIZED ({self.first_of('found', stretches)}) "
            f"UPDATE {JOBS} SET {self.hold_sets()} WHERE {self.is_picked} AND {self.is_alive()} "
            f"RETURNING {', '.join(COLUMNS)}, extract(epoch FROM clock_timestamp() - statement_timestamp())",
            [*params, limit, worker, worker, worker],
        )
        rows: list[Row] = cursor.fetchall()
        if not rows:
            # Nothing was written, so there was no commit to wait for.
            return [], time.monotonic() - began
        # Told for the first row, before the others are written, and before the commit, which waits for a disk.
        return [row[:-1] for row in rows], float(rows[0][-1])
