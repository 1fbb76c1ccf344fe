"""The verbs that people use: count, cancel, retry, change, delete, pause, prune. All bounded. Searches are in `lookups`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...jobs import Progress, TaskStatus
from ...models import TicketRow, lane_of
from ...serialization import encode_progress
from ...timestamps import from_micros, to_micros
from ..base import Changes, QueueCounts, WorkerInfo, WorkerRecord
from . import gates
from .dialects import JOBS, PAUSES, TICKETS, WORKERS, marks
from .rows import uuid_text

if TYPE_CHECKING:
    from .dialects import Dialect

WAITING = "status IN ('PENDING', 'SCHEDULED', 'RETRY')"


def annotate(cursor: Any, id_: Any, token: int, metadata: Mapping[str, Any], progress: Progress | None) -> bool:
    cursor.execute(
        f"UPDATE {JOBS} SET metadata = %s, progress = %s WHERE id = %s AND token = %s AND held_by IS NOT NULL",
        [json.dumps(dict(metadata)), encode_progress(progress), id_, token],
    )
    return bool(cursor.rowcount)


def cancel(cursor: Any, dialect: Dialect, alias: str, ids: Sequence[str]) -> list[str]:
    done = _update(
        cursor,
        dialect,
        alias,
        ids,
        f"status = 'CANCELLED', cancel_requested = {dialect.true}, finished_at = {dialect.now}, lane = NULL, "
        f"wakes_at = CASE WHEN limits IS NOT NULL THEN {dialect.now} END, "
        "once_key = CASE WHEN once_until IS NULL THEN once_key END",
        WAITING,
    )
    return done + _update(cursor, dialect, alias, ids, f"cancel_requested = {dialect.true}", "held_by IS NOT NULL")


def retry(cursor: Any, dialect: Dialect, alias: str, ids: Sequence[str]) -> list[str]:
    return _update(
        cursor,
        dialect,
        alias,
        ids,
        f"status = 'PENDING', cancel_requested = {dialect.false}, finished_at = NULL, due_at = {dialect.now}, "
        f"wakes_at = CASE WHEN limits IS NOT NULL THEN {dialect.now} END, "
        f"lane = CASE WHEN limits IS NULL THEN {dialect.lane_expression} END",
        "status IN ('FAILURE', 'CANCELLED', 'SCHEDULED', 'RETRY')",
    )


def delete(cursor: Any, dialect: Dialect, alias: str, ids: Sequence[str]) -> list[str]:
    found = _lock(cursor, dialect, alias, ids, "held_by IS NULL")
    if found:
        gates.forget(cursor, dialect, found)
        cursor.execute(f"DELETE FROM {JOBS} WHERE id IN ({marks(found)})", found)
    return [uuid_text(id_) for id_ in found]


def change(cursor: Any, dialect: Dialect, alias: str, ids: Sequence[str], changes: Changes) -> list[str]:
    sets: list[str] = []
    params: list[Any] = []
    if changes.priority is not None:
        sets.append("precedence = %s")
        params.append(-changes.priority)
    if changes.run_after is not None:
        at = to_micros(changes.run_after)
        sets += [
            "run_after = %s",
            "due_at = %s",
            f"wakes_at = CASE WHEN %s > {dialect.now} THEN {dialect.whole_mark} END",
            f"status = CASE WHEN %s > {dialect.now} THEN 'SCHEDULED' ELSE 'PENDING' END",
        ]
        params += [at, at, at, at, at]
    if changes.queue is not None:
        sets.append("queue = %s")
        params.append(changes.queue)
    if changes.is_async is not None:
        sets.append("is_async = %s")
        params.append(changes.is_async)
    done = _update(cursor, dialect, alias, ids, ", ".join(sets), WAITING, params) if sets else []
    if done:
        # What moved may be ready in another lane, or ready no more.
        lane = f"lane = CASE WHEN status = 'PENDING' AND limits IS NULL THEN {dialect.lane_expression} END"
        _update(cursor, dialect, alias, done, lane, WAITING)
        gates.restart(cursor, dialect, done)
    return done


def counts(cursor: Any, dialect: Dialect, alias: str, bound: int) -> list[QueueCounts]:
    prefix = lane_of(alias, "")
    found: dict[str, dict[TaskStatus, int]] = defaultdict(
        lambda: {status: 0 for status in TaskStatus if not status.is_finished}
    )
    oldest: dict[str, datetime] = {}
    for lane in dialect.ready_lanes(cursor):
        if not lane.startswith(prefix):
            continue
        queue = lane[len(prefix) :]
        cursor.execute(
            f"SELECT COUNT(*), MIN(due_at) FROM (SELECT due_at FROM {JOBS} WHERE lane = %s "
            "ORDER BY is_async, precedence, due_at, id LIMIT %s) AS bounded",
            [lane, bound],
        )
        number, due_at = cursor.fetchone()
        if not number:
            # Somebody has taken the last one since.
            continue
        found[queue][TaskStatus.PENDING] = number
        oldest[queue] = from_micros(due_at)
    for source in (
        # A limited job may knock wherever it lies.
        f"{JOBS} j WHERE j.wakes_at IS NOT NULL AND j.held_by IS NULL AND j.lane IS NULL AND j.finished_at IS NULL",
        f"{JOBS} j WHERE j.held_by IS NOT NULL",
        f"{TICKETS} t JOIN {JOBS} j ON j.id = t.job_id "
        f"WHERE t.place = {TicketRow.PARKED} AND j.wakes_at IS NULL AND j.lane IS NULL AND j.held_by IS NULL",
    ):
        cursor.execute(
            f"SELECT alias, queue, status, COUNT(*) FROM (SELECT j.alias, j.queue, j.status FROM {source} LIMIT %s) "
            "AS bounded GROUP BY alias, queue, status",
            [bound],
        )
        for its_alias, queue, status, number in cursor.fetchall():
            if its_alias == alias:
                found[queue][TaskStatus(status)] = min(bound, found[queue][TaskStatus(status)] + number)
    paused = _paused(cursor, prefix)
    return [
        QueueCounts(queue=queue, counts=dict(found[queue]), oldest_due_at=oldest.get(queue), is_paused=queue in paused)
        for queue in sorted({*found, *paused})
    ]


def workers(cursor: Any, dialect: Dialect, alias: str) -> list[WorkerRecord]:
    cursor.execute(
        "SELECT w.id, w.name, w.host, w.pid, w.slots, w.queues, w.lease, w.started_at, w.beat_at, "
        f"CASE WHEN w.expires_at > {dialect.now} THEN 1 ELSE 0 END, "
        f"(SELECT COUNT(*) FROM {JOBS} j WHERE j.held_by = w.id), w.expires_at, w.memory "
        f"FROM {WORKERS} w WHERE w.alias = %s ORDER BY w.id",
        [alias],
    )
    records = []
    for id_, name, host, pid, slots, queues, lease, started, beat, alive, running, expires, memory in cursor.fetchall():
        if not expires and not running:
            # It signed off; its row only waits to be cleared away.
            continue
        info = WorkerInfo(
            id=id_,
            name=name,
            host=host,
            pid=pid,
            slots=slots,
            queues=tuple(filter(None, queues.split(","))),
            lease=lease,
            memory=memory,
        )
        records.append(
            WorkerRecord(
                info=info,
                started_at=from_micros(started),
                beat_at=from_micros(beat),
                is_alive=bool(alive),
                running=running,
            )
        )
    return records


def pause(cursor: Any, dialect: Dialect, lane: str) -> None:
    cursor.execute(
        f"INSERT INTO {PAUSES} (lane, paused_at) SELECT %s, {dialect.now} "
        f"WHERE NOT EXISTS (SELECT 1 FROM {PAUSES} WHERE lane = %s)",
        [lane, lane],
    )


def resume(cursor: Any, lane: str) -> None:
    cursor.execute(f"DELETE FROM {PAUSES} WHERE lane = %s", [lane])


def prune(cursor: Any, dialect: Dialect, alias: str, before: int, limit: int) -> int:
    cursor.execute(
        # One that knocks has something to give back still.
        f"SELECT id FROM {JOBS} WHERE finished_at < %s AND alias = %s AND wakes_at IS NULL "
        f"ORDER BY finished_at LIMIT %s {dialect.skip_locked}",
        [before, alias, limit],
    )
    ids = [id_ for (id_,) in cursor.fetchall()]
    if ids:
        cursor.execute(f"DELETE FROM {JOBS} WHERE id IN ({marks(ids)}) AND finished_at < %s", [*ids, before])
    return len(ids)


def _update(
    cursor: Any, dialect: Dialect, alias: str, ids: Sequence[str], sets: str, condition: str, params: Sequence[Any] = ()
) -> list[str]:
    """Update the jobs among `ids` that meet `condition`; return their ids. Runs in a transaction of its caller's."""
    found = _lock(cursor, dialect, alias, ids, condition)
    if found:
        cursor.execute(f"UPDATE {JOBS} SET {sets} WHERE id IN ({marks(found)})", [*params, *found])
    return [uuid_text(id_) for id_ in found]


def _lock(cursor: Any, dialect: Dialect, alias: str, ids: Sequence[str], condition: str) -> list[Any]:
    """Lock those of the jobs that are this alias's and meet `condition`; return their ids."""
    wanted = [dialect.id_param(id_) for id_ in ids]
    found: list[Any] = []
    for start in range(0, len(wanted), 1000):
        some = wanted[start : start + 1000]
        cursor.execute(
            f"SELECT id, alias FROM {JOBS} WHERE id IN ({marks(some)}) AND {condition} ORDER BY id {dialect.lock}",
            some,
        )
        # Not a condition of the statement: an index begins with the alias, and InnoDB locks all that it passes over.
        found += [id_ for id_, its in cursor.fetchall() if its == alias]
    return found


def _paused(cursor: Any, prefix: str) -> set[str]:
    cursor.execute(f"SELECT lane FROM {PAUSES}")
    return {lane[len(prefix) :] for (lane,) in cursor.fetchall() if lane.startswith(prefix)}
