"""SQLite: one writer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from .dialects import JOBS, Dialect, Row, Stretch
from .rows import COLUMNS


class Sqlite(Dialect):
    """One writer at a time: a claim is a single UPDATE, and a transaction takes the write lock when it begins.

    A transaction that reads first and then wants to write would be refused at once ("database is locked") where another
    has written in between, whatever the timeout.
    """

    now = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"

    # Its counter of changes tells everything that happens in the file.
    look_factor = 5.0

    def id_param(self, id_: str) -> Any:
        return id_.replace("-", "")

    @contextmanager
    def transaction(self, connection: Any) -> Iterator[None]:
        if connection.in_atomic_block:
            with transaction.atomic(using=connection.alias):
                yield
            return
        # The mode is read from the settings when the connection is made.
        connection.ensure_connection()
        atomic = transaction.atomic(using=connection.alias)
        mode, connection.transaction_mode = connection.transaction_mode, "IMMEDIATE"
        try:
            atomic.__enter__()
        finally:
            connection.transaction_mode = mode
        with _entered(atomic):
            yield

    def is_conflict(self, exc: BaseException) -> bool:
        return "locked" in str(exc) or "busy" in str(exc)

    def claim(self, cursor: Any, stretches: Sequence[Stretch], limit: int, worker: str) -> list[Row]:
        one = (
            f"SELECT id, precedence, due_at, is_async, %s AS room FROM {JOBS} "
            f"WHERE lane = %s AND is_async = %s AND {self.is_open('%s')} ORDER BY precedence, due_at, id LIMIT %s"
        )
        each = " UNION ALL ".join([f"SELECT * FROM ({one})"] * len(stretches))
        looked_for = [value for its in stretches for value in (its.room, its.lane, its.is_async, its.lane, its.room)]
        cursor.execute(
            f"UPDATE {JOBS} SET {self.hold_sets()} WHERE id IN ({self.first_of(f'({each})', stretches)}) AND {self.is_alive()} "
            f"RETURNING {', '.join(COLUMNS)}",
            [worker, worker, *looked_for, limit, worker],
        )
        rows: list[Row] = cursor.fetchall()
        return rows


@contextmanager
def _entered(atomic: Any) -> Iterator[None]:
    """Leave a transaction that was entered before, as `with` would."""
    try:
        yield
    except BaseException as exc:
        atomic.__exit__(type(exc), exc, exc.__traceback__)
        raise
    else:
        atomic.__exit__(None, None, None)
