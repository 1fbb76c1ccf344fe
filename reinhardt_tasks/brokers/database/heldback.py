"""The lines before full limits, for people: which there are, and in which of them a job stands. Bounded; nothing is locked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...gates import Limit
from ...timestamps import from_micros
from ..base import Line
from .dialects import JOBS, LIMITS, TICKETS, Dialect, marks
from .lines import PARKED, PASSED

#: Keys with a line, each found from the one before by the index alone: a line of millions costs no more than one of two.
_KEYS = f"""
WITH RECURSIVE found (limit_key, number) AS (
    SELECT MIN(limit_key), 1 FROM {TICKETS} WHERE limit_key >= %s AND limit_key < %s AND place = {PARKED}
    UNION ALL
    SELECT (
        SELECT MIN(t.limit_key) FROM {TICKETS} t
        WHERE t.limit_key > found.limit_key AND t.limit_key < %s AND t.place = {PARKED}
    ), number + 1
    FROM found WHERE found.limit_key IS NOT NULL AND number < %s
)
SELECT limit_key FROM found WHERE limit_key IS NOT NULL
"""


def lines(cursor: Any, dialect: Dialect, alias: str, limit: int, bound: int) -> list[Line]:
    """Return up to `limit` lines, the longest first; numbers are counted up to `bound`."""
    # ";" comes right after ":".
    first, behind = f"{alias}:", f"{alias};"
    cursor.execute(_KEYS, [first, behind, behind, limit])
    keys = [key for (key,) in cursor.fetchall() if key.startswith(first)]
    return sorted(_lines(cursor, dialect, alias, keys, bound), key=lambda line: (-line.waiting, line.limit.key))


def line_of(cursor: Any, dialect: Dialect, alias: str, id_: str, bound: int) -> Line | None:
    """Return the line in which a job stands, or the rate that lets it pass at a later time; None for neither."""
    cursor.execute(
        f"SELECT t.limit_key FROM {TICKETS} t JOIN {JOBS} j ON j.id = t.job_id "
        f"WHERE t.job_id = %s AND j.alias = %s AND j.held_by IS NULL AND (t.place = {PARKED} OR t.opens_at > {dialect.now}) "
        "ORDER BY t.place LIMIT 1",
        [dialect.id_param(id_), alias],
    )
    row = cursor.fetchone()
    return None if row is None else next(iter(_lines(cursor, dialect, alias, [row[0]], bound)), None)


def _lines(cursor: Any, dialect: Dialect, alias: str, keys: Sequence[str], bound: int) -> list[Line]:
    if not keys:
        return []
    cursor.execute(
        f"SELECT limit_key, size, every, reach, {dialect.now} FROM {LIMITS} WHERE limit_key IN ({marks(keys)})", keys
    )
    rules = cursor.fetchall()
    counts = _counts(cursor, [row[0] for row in rules], bound)
    found = []
    for key, size, every, reach, now in rules:
        rule = Limit(key=key.removeprefix(f"{alias}:"), size=size, every=every)
        held, waiting = counts[key, PASSED], counts[key, PARKED]
        opens_at = from_micros(rule.opens_at(reach, 0, now)) if every else None
        found.append(Line(limit=rule, held=held, waiting=waiting, opens_at=opens_at))
    return found


def _counts(cursor: Any, keys: Sequence[str], bound: int) -> dict[tuple[str, int], int]:
    """Return how many jobs are past each key, and how many wait before it: one statement."""
    wanted = [(key, place) for key in keys for place in (PARKED, PASSED)]
    each = f"SELECT COUNT(*) AS number FROM (SELECT 1 FROM {TICKETS} WHERE limit_key = %s AND place = %s LIMIT %s) AS b{{}}"
    cursor.execute(
        " UNION ALL ".join(f"SELECT {at}, number FROM ({each.format(at)}) AS c{at}" for at in range(len(wanted))),
        [value for pair in wanted for value in (*pair, bound)],
    )
    numbers = dict(cursor.fetchall())
    return {pair: numbers[at] for at, pair in enumerate(wanted)}
