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
_GIVEN_MARKS = ", ".join(["%s"] * len(_GIVEN))


def insert_sql(dialect: Dialect, alias: str, jobs: Sequence[Job]) -> tuple[str, list[Any]]:
    """Return an INSERT of `jobs` and its parameters."""
    now = dialect.now
    ready = f"({_GIVEN_MARKS}, NULL, 0, {dialect.false}, {now}, {now}, 'PENDING', %s, NULL)"
    timed = (
        f"({_GIVEN_MARKS}, %s, 0, {dialect.false}, {now}, %s, CASE WHEN %s <= {now} THEN 'PENDING' ELSE 'SCHEDULED' END, "
        f"CASE WHEN %s <= {now} THEN {dialect.text_mark} END, CASE WHEN %s > {now} THEN {dialect.whole_mark} END)"
    )
    rows, params = [], []
    for job in jobs:
        params += [
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
        lane = lane_of(alias, job.queue)
        if job.run_after is None:
            rows.append(ready)
            params.append(lane)
        else:
            at = to_micros(job.run_after)
            rows.append(timed)
            params += [at, at, at, at, lane, at, at]
    return f"INSERT INTO {JOBS} ({', '.join(_COLUMNS)}) VALUES {', '.join(rows)}", params
