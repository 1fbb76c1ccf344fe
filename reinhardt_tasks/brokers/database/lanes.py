"""Which lanes have something ready: one step down the index for each, where a DISTINCT would walk the backlog."""

from __future__ import annotations

from typing import Any

from .dialects import JOBS

# A "loose index scan": https://wiki.postgresql.org/wiki/Loose_indexscan
_READY_LANES = (
    f"WITH RECURSIVE t(lane) AS (SELECT MIN(lane) FROM {JOBS} WHERE lane IS NOT NULL UNION ALL "
    f"SELECT (SELECT MIN(lane) FROM {JOBS} j WHERE j.lane > t.lane) FROM t WHERE t.lane IS NOT NULL) "
    "SELECT lane FROM t WHERE lane IS NOT NULL"
)


def ready_lanes(cursor: Any) -> list[str]:
    cursor.execute(_READY_LANES)
    return [lane for (lane,) in cursor.fetchall()]
