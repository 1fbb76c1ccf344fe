"""Searches and statistics in SQL, each bounded: through the small indexes where one serves, else in windows of the newest rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ...jobs import Job, TaskStatus
from ...models import lane_of
from ...timestamps import from_micros, to_micros
from .. import lookups
from ..lookups import Failures, Page, Query, Tallies, chosen, steps, tallied
from .dialects import JOBS, TICKETS, marks
from .lines import PARKED
from .rows import COLUMNS, job_of, uuid_text

if TYPE_CHECKING:
    from .dialects import Dialect

#: The rows of the index `rt_job_failed`. SQLite uses it for these very words only.
_ENDED_BADLY = "status IN ('FAILURE', 'CANCELLED')"
#: Rows that a search looks at first: enough where most of them match, and read within a moment.
_FIRST_WINDOW = 1000


def page(cursor: Any, dialect: Dialect, alias: str, query: Query, after: str | None, limit: int) -> Page:
    ids = _gathered(cursor, dialect, alias, query)
    if ids is None:
        return _walked(cursor, dialect, alias, query, after, limit)

    def read(some: list[str]) -> list[Job]:
        return [job for job in _read(cursor, dialect, some) if job.backend == alias]

    return chosen(ids, read, query, after, limit)


def tally(cursor: Any, alias: str, since: datetime, until: datetime, step: timedelta) -> Tallies:
    begin, end, width = to_micros(since), to_micros(until), step // timedelta(microseconds=1)
    cursor.execute(
        f"SELECT began, alias, queue, status, COUNT(*) FROM ("
        f"SELECT (finished_at - {begin}) - (finished_at - {begin}) %% {width} AS began, alias, queue, status "
        f"FROM {JOBS} WHERE finished_at >= %s AND finished_at < %s "
        "ORDER BY finished_at DESC LIMIT %s) AS newest GROUP BY began, alias, queue, status",
        [begin, end, lookups.TALLIED],
    )
    rows = cursor.fetchall()
    if sum(row[-1] for row in rows) < lookups.TALLIED:
        ended = [(from_micros(begin + began), q, TaskStatus(s), n) for began, its, q, s, n in rows if its == alias]
        return tallied(ended, since, until, step)
    sampled = [row for each in steps(since, until, step) for row in _sampled(cursor, alias, *each)]
    return tallied(sampled, since, until, step, is_estimate=True)


def failures(cursor: Any, dialect: Dialect, alias: str, limit: int) -> Failures:
    where, bound = (f"WHERE alias = %s AND {_ENDED_BADLY}", limit) if dialect.has_partial_indexes else ("", 0)
    cursor.execute(
        f"SELECT alias, queue, status, COUNT(*) FROM (SELECT alias, queue, status FROM {JOBS} {where} "
        "ORDER BY id DESC LIMIT %s) AS newest GROUP BY alias, queue, status",
        [*([alias] if where else []), bound or lookups.WALKED],
    )
    rows = cursor.fetchall()
    return Failures(
        counts={queue: n for its, queue, status, n in rows if its == alias and status == TaskStatus.FAILURE},
        is_cut=sum(row[-1] for row in rows) >= (bound or lookups.WALKED),
    )


def rewrite(cursor: Any, dialect: Dialect, alias: str, id_: str, payload: str) -> bool:
    cursor.execute(
        f"UPDATE {JOBS} SET payload = %s WHERE id = %s AND alias = %s "
        "AND status IN ('PENDING', 'SCHEDULED', 'RETRY', 'FAILURE', 'CANCELLED')",
        [payload, dialect.id_param(id_), alias],
    )
    return bool(cursor.rowcount)


def _gathered(cursor: Any, dialect: Dialect, alias: str, query: Query) -> list[str] | None:
    """Return ids among which are all that can match, by an index of few rows; None where there is none, or it has too many."""
    assert query.ids is not None
    if query.ids[0] == query.ids[1]:
        return [query.ids[0]]
    if query.is_of_living:
        return _in_places(cursor, _places(alias, query))
    if query.is_of_a_time:
        begin = 0 if query.finished_since is None else to_micros(query.finished_since)
        end = 1 << 62 if query.finished_until is None else to_micros(query.finished_until)
        return _in_places(cursor, [("finished_at >= %s AND finished_at < %s", [begin, end])])
    return None


def _places(alias: str, query: Query) -> list[tuple[str, list[Any]]]:
    """Return conditions, each with an index of its own, that hold for jobs of the living states that are asked for."""
    wanted = set(query.statuses or ())
    places: list[tuple[str, list[Any]]] = []
    if TaskStatus.PENDING in wanted and query.queue is not None:
        places.append(("lane = %s", [lane_of(alias, query.queue)]))
    elif TaskStatus.PENDING in wanted:
        # All that begins so: the letter after ':' is ';'.
        places.append(("lane >= %s AND lane < %s", [lane_of(alias, ""), f"{alias};"]))
    if wanted & {TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.RETRY}:
        # Jobs with limits lie here while they knock, or a rate lets them wait.
        places.append(("wakes_at IS NOT NULL", []))
    if TaskStatus.PENDING in wanted:
        line = f"SELECT job_id FROM {TICKETS} WHERE place = {PARKED} LIMIT {lookups.GATHERED}"
        places.append((f"id IN (SELECT job_id FROM ({line}) AS in_line)", []))
    if TaskStatus.RUNNING in wanted:
        places.append(("held_by IS NOT NULL", []))
    return places


def _in_places(cursor: Any, places: Sequence[tuple[str, list[Any]]]) -> list[str] | None:
    ids: list[str] = []
    for condition, params in places:
        cursor.execute(f"SELECT id FROM {JOBS} WHERE {condition} LIMIT %s", [*params, lookups.GATHERED])
        some = [uuid_text(id_) for (id_,) in cursor.fetchall()]
        if len(some) >= lookups.GATHERED:
            return None
        ids += some
    return ids


def _walked(cursor: Any, dialect: Dialect, alias: str, query: Query, after: str | None, limit: int) -> Page:
    """Look through the newest rows, a window of them, for what no index is there for."""
    window, params = _window(dialect, alias, query, after)
    conditions, more = _conditions(alias, query)
    ids: list[str] = []
    for size in (max(_FIRST_WINDOW, 2 * limit), lookups.WALKED):
        cursor.execute(
            "SELECT id FROM (SELECT id, alias, status, queue, name, worker, enqueued_at, finished_at "
            f"FROM {JOBS} WHERE {window} ORDER BY id DESC LIMIT %s) AS newest WHERE {conditions} "
            "ORDER BY id DESC LIMIT %s",
            [*params, size, *more, limit],
        )
        ids = [uuid_text(id_) for (id_,) in cursor.fetchall()]
        if len(ids) == limit:
            break
    jobs = [job for job in _read(cursor, dialect, ids) if query.matches(job)]
    if len(ids) == limit:
        return Page(jobs=jobs, after=ids[-1])
    cursor.execute(
        f"SELECT id FROM {JOBS} WHERE {window} ORDER BY id DESC LIMIT 1 OFFSET %s", [*params, lookups.WALKED - 1]
    )
    end = cursor.fetchone()
    return Page(jobs=jobs, after=uuid_text(end[0]), is_cut=True) if end else Page(jobs=jobs)


def _window(dialect: Dialect, alias: str, query: Query, after: str | None) -> tuple[str, list[Any]]:
    """Return the condition that bounds the rows to look through by their ids, which tell when they were made."""
    assert query.walk is not None
    low, high = query.walk
    # One bound above, not two: SQLite would take the first for its index, and pass over the rest row by row.
    upper, last = ("id <= %s", high) if after is None or after > high else ("id < %s", after)
    window = ["id >= %s", upper]
    params = [dialect.id_param(low), dialect.id_param(last)]
    if query.is_of_failures and dialect.has_partial_indexes:
        window += ["alias = %s", _ENDED_BADLY]
        params.append(alias)
    return " AND ".join(window), params


def _conditions(alias: str, query: Query) -> tuple[str, list[Any]]:
    conditions, params = ["alias = %s"], [alias]
    if query.statuses is not None:
        conditions.append(f"status IN ({marks(query.statuses)})")
        params += [status.value for status in query.statuses]
    for column, value in (("queue", query.queue), ("name", query.name), ("worker", query.worker)):
        if value is not None:
            conditions.append(f"{column} = %s")
            params.append(value)
    for condition, moment in (
        ("enqueued_at >= %s", query.enqueued_since),
        ("enqueued_at < %s", query.enqueued_until),
        ("finished_at >= %s", query.finished_since),
        ("finished_at < %s", query.finished_until),
    ):
        if moment is not None:
            conditions.append(condition)
            params.append(to_micros(moment))  # type: ignore[arg-type]
    return " AND ".join(conditions), params


def _read(cursor: Any, dialect: Dialect, ids: Sequence[str]) -> list[Job]:
    """Return the jobs of these ids, newest first."""
    found: list[Job] = []
    for start in range(0, len(ids), lookups.PAGE):
        some = [dialect.id_param(id_) for id_ in ids[start : start + lookups.PAGE]]
        cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM {JOBS} WHERE id IN ({marks(some)})", some)
        found += map(job_of, cursor.fetchall())
    return sorted(found, key=lambda job: job.id, reverse=True)


def _sampled(cursor: Any, alias: str, since: datetime, until: datetime) -> list[tuple[datetime, str, TaskStatus, int]]:
    """Estimate what ended in one step: how much, from a bounded count; of which kind, from its first and last rows."""
    begin, end = to_micros(since), to_micros(until)
    span = "WHERE finished_at >= %s AND finished_at < %s"
    cursor.execute(
        f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {JOBS} {span} LIMIT %s) AS bounded", [begin, end, lookups.COUNTED]
    )
    total = cursor.fetchone()[0]
    seen: dict[Any, tuple[Any, ...]] = {}
    covered = 0
    for direction in ("ASC", "DESC"):
        cursor.execute(
            f"SELECT id, alias, queue, status, finished_at FROM {JOBS} {span} ORDER BY finished_at {direction} LIMIT %s",
            [begin, end, lookups.SAMPLED // 2],
        )
        rows = cursor.fetchall()
        seen |= {row[0]: row for row in rows}
        if rows:
            covered += max(1, rows[-1][-1] - begin if direction == "ASC" else end - rows[-1][-1])
    if total >= lookups.COUNTED:
        # Beyond the bound: as many as there were in the time that the sample is from.
        total = max(total, len(seen) * (end - begin) // covered)
    counts: dict[tuple[str, TaskStatus], int] = {}
    for _, its, queue, status, _ in seen.values():
        if its == alias:
            counts[queue, TaskStatus(status)] = counts.get((queue, TaskStatus(status)), 0) + 1
    return [(since, queue, status, round(number * total / len(seen))) for (queue, status), number in counts.items()]
