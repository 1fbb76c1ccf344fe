"""Jobs on their way in: one INSERT for many, each ready or waiting by the database's own clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...jobs import Job
from ...models import lane_of
from ...timestamps import to_micros
from .dialects import JOBS

if TYPE_CHECKING:
    from .dialects import Dialect

_GIVEN = ("id", "alias", "name", "queue", "precedence", "payload", "max_attempts", "once_key", "metadata")
_COLUMNS = (*_GIVEN, "run_after", "token", "cancel_requested", "enqueued_at", "due_at", "status", "lane", "wakes_at")
#: From more jobs than this on, arrays are worth it where the database has them.
_FEW = 4
_GIVEN_MARKS = ", ".join(["%s"] * len(_GIVEN))


def insert_sql(dialect: Dialect, alias: str, jobs: Sequence[Job]) -> tuple[str, list[Any]]:
    """Return an INSERT of `jobs` and its parameters."""
    now = dialect.now
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
    ]


def _from_arrays(dialect: Dialect, alias: str, jobs: Sequence[Job]) -> tuple[str, list[Any]]:
    """As one array for each column: thousands of single parameters cost more to read than the statement takes to run."""
    is_ahead = "v.run_after > n.now"
    given = ", ".join(f"v.{column}" for column in _GIVEN)
    sql = (
        f"INSERT INTO {JOBS} ({', '.join(_COLUMNS)}) SELECT {given}, v.run_after, 0, FALSE, n.now, COALESCE(v.run_after, n.now), "
        f"CASE WHEN {is_ahead} THEN 'SCHEDULED' ELSE 'PENDING' END, CASE WHEN {is_ahead} THEN NULL ELSE v.lane END, "
        f"CASE WHEN {is_ahead} THEN v.run_after END FROM (SELECT {dialect.now} AS now) AS n CROSS JOIN unnest("
        "%s::uuid[], %s::text[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::integer[], %s::text[], %s::text[], "
        f"%s::bigint[], %s::text[]) AS v({', '.join(_GIVEN)}, run_after, lane)"
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
