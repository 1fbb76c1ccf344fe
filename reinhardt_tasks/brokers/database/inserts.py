"""Jobs on their way in: one INSERT for many, each ready or waiting by the database's own clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...jobs import Job
from ...models import lane_of
from ...timestamps import to_micros
from .dialects import JOBS, marks
from .rows import limits_text

if TYPE_CHECKING:
    from .dialects import Dialect

_GIVEN = ("id", "alias", "name", "queue", "precedence", "payload", "max_attempts", "once_key", "metadata", "is_async")
_COLUMNS = (*_GIVEN, "run_after", "token", "cancel_requested", "enqueued_at", "due_at", "status", "lane", "wakes_at")
#: From more jobs than this on, arrays are worth it where the database has them.
_FEW = 4
_GIVEN_MARKS = marks(_GIVEN)


def insert_sql(dialect: Dialect, alias: str, jobs: Sequence[Job]) -> tuple[str, list[Any]]:
    """Return an INSERT of `jobs` and its parameters."""
    now = dialect.now
    if any(job.once_until or job.limits or job.debounce is not None for job in jobs):
        return _with_limits(dialect, alias, jobs)
    if dialect.has_arrays and len(jobs) > _FEW:
        return _from_arrays(dialect, alias, jobs)
    ready = f"({_GIVEN_MARKS}, NULL, 0, {dialect.false}, {now}, {now}, 'PENDING', %s, NULL)"
    timed = (
        f"({_GIVEN_MARKS}, %s, 0, {dialect.false}, {now}, %s, CASE WHEN %s <= {now} THEN 'PENDING' ELSE 'SCHEDULED' END, "
        f"CASE WHEN %s <= {now} THEN {dialect.text_mark} END, CASE WHEN %s > {now} THEN {dialect.whole_mark} END)"
    )
    rows, params = [], []
    for job in jobs:
        params += _given(dialect, alias, job)
        lane = lane_of(alias, job.queue)
        if job.run_after is None:
            rows.append(ready)
            params.append(lane)
        else:
            at = to_micros(job.run_after)
            rows.append(timed)
            params += [at, at, at, at, lane, at, at]
    return f"INSERT INTO {JOBS} ({', '.join(_COLUMNS)}) VALUES {', '.join(rows)}", params


def _given(dialect: Dialect, alias: str, job: Job) -> list[Any]:
    """Return what a job brings along, in the order of `_GIVEN`."""
    return [
        dialect.id_param(job.id),
        alias,
        job.name,
        job.queue,
        -job.priority,
        job.payload,
        job.max_attempts,
        job.once_key,
        json.dumps(dict(job.metadata)) if job.metadata else "{}",
        job.is_async,
    ]


def _with_limits(dialect: Dialect, alias: str, jobs: Sequence[Job]) -> tuple[str, list[Any]]:
    """Return the INSERT where some jobs are limited: those lie in no lane, and knock as soon as they are due."""
    now = dialect.now
    rows, params = [], []
    for job in jobs:
        params += _given(dialect, alias, job)
        params += [None if job.once_until is None else job.once_until.value, limits_text(job.limits)]
        due, its = now, []
        if job.debounce is not None:
            # By the database's clock; a longest wait that is shorter than the first is the first.
            wait = job.debounce if job.max_wait is None else min(job.debounce, job.max_wait)
            due, its = f"{now} + {dialect.whole_mark}", [int(wait * 1_000_000)]
        if job.run_after is not None and job.debounce is None:
            due, its = dialect.whole_mark, [to_micros(job.run_after)]
        is_ready = f"{due} <= {now}" if its else "1 = 1"
        run_after = due if its else "NULL"
        lane = "NULL" if job.limits else f"CASE WHEN {is_ready} THEN {dialect.text_mark} END"
        wakes = due if job.limits else f"CASE WHEN {is_ready} THEN NULL ELSE {due} END"
        rows.append(
            f"({_GIVEN_MARKS}, %s, %s, {run_after}, 0, {dialect.false}, {now}, {due}, "
            f"CASE WHEN {is_ready} THEN 'PENDING' ELSE 'SCHEDULED' END, {lane}, {wakes})"
        )
        params += [*its, *its, *its]
        params += [] if job.limits else [*its, lane_of(alias, job.queue)]
        params += its if job.limits else [*its, *its]
    columns = (*_GIVEN, "once_until", "limits", *_COLUMNS[len(_GIVEN) :])
    return f"INSERT INTO {JOBS} ({', '.join(columns)}) VALUES {', '.join(rows)}", params


def _from_arrays(dialect: Dialect, alias: str, jobs: Sequence[Job]) -> tuple[str, list[Any]]:
    """As one array for each column: thousands of single parameters cost more to read than the statement takes to run."""
    is_ahead = "v.run_after > n.now"
    given = ", ".join(f"v.{column}" for column in _GIVEN)
    sql = (
        f"INSERT INTO {JOBS} ({', '.join(_COLUMNS)}) SELECT {given}, v.run_after, 0, FALSE, n.now, COALESCE(v.run_after, n.now), "
        f"CASE WHEN {is_ahead} THEN 'SCHEDULED' ELSE 'PENDING' END, CASE WHEN {is_ahead} THEN NULL ELSE v.lane END, "
        f"CASE WHEN {is_ahead} THEN v.run_after END FROM (SELECT {dialect.now} AS now) AS n CROSS JOIN unnest("
        "%s::uuid[], %s::text[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::integer[], %s::text[], %s::text[], "
        f"%s::boolean[], %s::bigint[], %s::text[]) AS v({', '.join(_GIVEN)}, run_after, lane)"
    )
    rows = [
        [
            *_given(dialect, alias, job),
            None if job.run_after is None else to_micros(job.run_after),
            lane_of(alias, job.queue),
        ]
        for job in jobs
    ]
    return sql, [list(column) for column in zip(*rows, strict=True)]
