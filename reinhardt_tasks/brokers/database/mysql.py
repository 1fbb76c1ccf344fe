"""MariaDB and MySQL: no UPDATE … RETURNING, so what is to be changed is locked by a SELECT first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from ...log_lines import LOG_LETTERS
from .dialects import JOBS, OUTCOME_COLUMNS, WORKERS, Dialect, Row, Stretch, marks
from .rows import COLUMNS

_DUPLICATE = 1062


class Mysql(Dialect):
    """No UPDATE … RETURNING: what is to be changed is locked by a SELECT first, in the same transaction."""

    now = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))"
    lane_expression = "CONCAT(alias, ':', queue)"
    joined_log = f"CONCAT(COALESCE(RIGHT(j.log, {LOG_LETTERS}), ''), v.log)"
    lock = "FOR UPDATE"
    skip_locked = "FOR UPDATE SKIP LOCKED"
    is_single = False
    has_partial_indexes = False

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._has_uuid = connection.features.has_native_uuid_field

    def id_param(self, id_: str) -> Any:
        return id_ if self._has_uuid else id_.replace("-", "")

    def is_conflict(self, exc: BaseException) -> bool:
        # Lock wait timeout, deadlock.
        return bool(exc.args) and exc.args[0] in (1205, 1213)

    def insert(self, cursor: Any, sql: str, params: Sequence[Any], notify: str | None) -> int:
        try:
            cursor.execute(sql, params)
        except IntegrityError as exc:
            if not exc.args or exc.args[0] != _DUPLICATE:
                raise
            # Only this statement was undone. Which rows were there already cannot be told from the count: Django asks
            # the server for found rows, and a row that is left as it was counts as one.
            cursor.execute(f"{sql} ON DUPLICATE KEY UPDATE id = id", params)
            return -1
        count: int = cursor.rowcount
        return count

    def claim(self, cursor: Any, stretches: Sequence[Stretch], limit: int, worker: str) -> list[Row]:
        is_there = f"EXISTS (SELECT 1 FROM {JOBS} WHERE lane = %s AND is_async = %s)"
        cursor.execute(
            f"SELECT {', '.join([self.is_alive(), *[is_there] * len(stretches)])}",
            [worker, *(value for its in stretches for value in (its.lane, its.is_async))],
        )
        is_alive, *has_some = cursor.fetchone()
        if not is_alive:
            return []
        found: list[tuple[int, int, str, Any, Stretch]] = []
        for its in [its for its, there in zip(stretches, has_some, strict=True) if there]:
            cursor.execute(
                f"SELECT precedence, due_at, id FROM {JOBS} WHERE lane = %s AND is_async = %s AND {self.is_open('%s')} "
                f"ORDER BY precedence, due_at, id LIMIT %s {self.skip_locked}",
                [its.lane, its.is_async, its.lane, its.room],
            )
            found += [(precedence, due_at, str(id_), id_, its) for precedence, due_at, id_ in cursor.fetchall()]
        ids: list[Any] = []
        taken: Counter[bool] = Counter()
        for *_, id_, its in sorted(found):
            if len(ids) < limit and taken[its.is_async] < its.room:
                taken[its.is_async] += 1
                ids.append(id_)
        if ids:
            cursor.execute(
                f"UPDATE {JOBS} SET {self.hold_sets()} WHERE id IN ({marks(ids)})",
                [worker, worker, *ids],
            )
        return self._read(cursor, ids)

    def ready_lanes(self, cursor: Any) -> list[str]:
        # In one statement, each step would read all that is ready: it looks up in an index what stands in the statement only.
        lanes: list[str] = []
        while True:
            cursor.execute(f"SELECT MIN(lane) FROM {JOBS} WHERE lane > %s", [lanes[-1] if lanes else ""])
            (lane,) = cursor.fetchone()
            if lane is None:
                return lanes
            lanes.append(lane)

    def take_over(self, cursor: Any, dead: Sequence[str], limit: int, worker: str) -> list[Row]:
        cursor.execute(
            f"SELECT id FROM {JOBS} WHERE held_by IN ({marks(dead)}) LIMIT %s {self.skip_locked}",
            [*dead, limit],
        )
        ids = [row[0] for row in cursor.fetchall()]
        if ids:
            cursor.execute(
                f"UPDATE {JOBS} SET held_by = %s, token = token + 1 WHERE id IN ({marks(ids)})",
                [worker, *ids],
            )
        return self._read(cursor, ids)

    def promote(self, cursor: Any, limit: int) -> bool:
        cursor.execute(
            f"SELECT id, limits IS NOT NULL FROM {JOBS} WHERE wakes_at <= {self.now} ORDER BY wakes_at LIMIT %s {self.skip_locked}",
            [limit],
        )
        found = cursor.fetchall()
        ids = [id_ for id_, knocks in found if not knocks]
        if ids:
            cursor.execute(
                f"UPDATE {JOBS} SET status = 'PENDING', lane = {self.lane_expression}, wakes_at = NULL "
                f"WHERE id IN ({marks(ids)})",
                ids,
            )
        return len(ids) < len(found)

    def settle(self, cursor: Any, rows: Sequence[Row]) -> dict[str, str]:
        pairs = ", ".join(["(%s, %s)"] * len(rows))
        cursor.execute(
            f"SELECT id, cancel_requested FROM {JOBS} WHERE (id, token) IN ({pairs}) AND held_by IS NOT NULL FOR UPDATE",
            [value for row in rows for value in row[:2]],
        )
        ours = {str(id_): bool(cancelled) for id_, cancelled in cursor.fetchall()}
        kept = [row for row in rows if str(row[0]) in ours]
        if not kept:
            return {}
        first = "SELECT " + ", ".join(f"%s AS {column}" for column in OUTCOME_COLUMNS)
        rest = " UNION ALL SELECT " + marks(OUTCOME_COLUMNS)
        cursor.execute(
            f"UPDATE {JOBS} j JOIN ({first}{rest * (len(kept) - 1)}) v ON j.id = v.id SET {self.settle_sets('j.')}",
            [value for row in kept for value in row],
        )
        return {str(row[0]): "CANCELLED" if ours[str(row[0])] and row[2] != "FAILURE" else row[2] for row in kept}

    def upsert_worker(self, columns: Sequence[str], updated: Sequence[str], values: Sequence[str]) -> str:
        sets = ", ".join(f"{column} = VALUES({column})" for column in updated)
        return (
            f"INSERT INTO {WORKERS} ({', '.join(columns)}) VALUES ({', '.join(values)}) ON DUPLICATE KEY UPDATE {sets}"
        )

    def _read(self, cursor: Any, ids: Collection[Any]) -> list[Row]:
        if not ids:
            return []
        cursor.execute(
            f"SELECT {', '.join(COLUMNS)} FROM {JOBS} WHERE id IN ({marks(ids)})",
            list(ids),
        )
        rows: list[Row] = cursor.fetchall()
        return rows
