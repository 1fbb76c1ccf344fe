"""Where the next claim may begin to look, when the head of the index is full of rows that are gone.

While some session holds an old transaction open, PostgreSQL cannot clear away the index entries of claimed jobs, and each
claim walks over all of them again: draining 200,000 jobs would take time in the square of their number. So when a claim
from the very beginning was slow, the following ones begin where it ended, for at most `KEPT` seconds; then one looks from the
beginning again. In that state, and only in it, a more urgent job may wait this long behind others.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from .dialects import Front, Row

#: Seconds from which on a claim is slow, and seconds for which a front is kept.
SLOW, KEPT = 0.02, 1.0

# Places of precedence, due_at and id in a row of COLUMNS.
_PRECEDENCE, _DUE_AT, _ID = 4, 18, 0


class Fronts:
    """The fronts of one process, by the lanes that a claim names."""

    def __init__(self) -> None:
        self._fronts: dict[tuple[str, ...], tuple[Front, float]] = {}

    def of(self, lanes: Sequence[str]) -> Front | None:
        """Return where a claim of these lanes may begin, or None for the beginning."""
        if not self._fronts:
            return None
        front, until = self._fronts.get(tuple(lanes), (None, 0.0))
        if front is not None and time.monotonic() < until:
            return front
        self.drop(lanes)
        return None

    def note(self, lanes: Sequence[str], rows: Sequence[Row], seconds: float) -> None:
        """Take note of a claim from the beginning that took `seconds`."""
        # With more lanes than one, the last job taken of one says nothing about the others.
        if seconds > SLOW and rows and len(lanes) == 1:
            self._fronts[tuple(lanes)] = (_last(rows), time.monotonic() + max(KEPT, 10 * seconds))

    def advance(self, lanes: Sequence[str], rows: Sequence[Row]) -> None:
        """Move the front on behind a claim that began at it."""
        if rows and tuple(lanes) in self._fronts:
            _, until = self._fronts[tuple(lanes)]
            self._fronts[tuple(lanes)] = (_last(rows), until)

    def drop(self, lanes: Sequence[str]) -> None:
        self._fronts.pop(tuple(lanes), None)


def _last(rows: Sequence[Row]) -> Front:
    return max((row[_PRECEDENCE], row[_DUE_AT], str(row[_ID])) for row in rows)
