"""Where the next claim may begin to look, when the head of the index is full of rows that are gone.

While some session holds an old transaction open, PostgreSQL cannot clear away the index entries of claimed jobs, and each
claim walks over all of them again: draining 200,000 jobs would take time in the square of their number. So when a claim
from the very beginning was slow to find what it took, the following ones begin where it ended, for at most `KEPT` seconds;
then one looks from the beginning again. In that state, and only in it, a more urgent job may wait this long behind others.

Each kind of jobs in each lane has its own. Where there was nothing, the following claims leave that out, for `LEFT_OUT` seconds,
while they find something elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...models import lane_of
from .dialects import Front, Row, Stretch

#: Seconds from which on a claim is slow, and seconds for which a front is kept.
SLOW, KEPT, LEFT_OUT = 0.02, 1.0, 0.1
#: The front behind all jobs.
_END: Front = (2**15 - 1, 2**63 - 1, "ffffffff-ffff-ffff-ffff-ffffffffffff")

# Places of what is looked at here in a row of COLUMNS.
_PRECEDENCE, _DUE_AT, _ID, _ALIAS, _QUEUE, _IS_ASYNC = 4, 18, 0, 1, 3, 24


class Fronts:
    """The fronts of one process, by lane and kind."""

    def __init__(self) -> None:
        self._fronts: dict[tuple[str, bool], tuple[Front, float]] = {}

    def onto(self, stretches: Sequence[Stretch]) -> list[Stretch]:
        """Return the stretches with the fronts at which they may begin."""
        if not self._fronts:
            return list(stretches)
        now = time.monotonic()
        self._fronts = {its: front for its, front in self._fronts.copy().items() if now < front[1]}
        return [its._replace(front=self._fronts.get(its[:2], (None, 0.0))[0]) for its in stretches]

    def learn(self, stretches: Sequence[Stretch], rows: Sequence[Row], limit: int, seconds: float) -> None:
        """Take note of what a claim of up to `limit` jobs found, and that it took `seconds`."""
        if seconds <= SLOW and not self._fronts:
            return
        for its in stretches:
            found = [row for row in rows if (lane_of(row[_ALIAS], row[_QUEUE]), bool(row[_IS_ASYNC])) == its[:2]]
            if its.front is None and seconds > SLOW:
                front = _last(found) if found else _END
                kept = max(KEPT, 10 * seconds) if found else LEFT_OUT
                self._fronts[its[:2]] = (front, time.monotonic() + kept)
            elif its.front is not None and its.front != _END:
                if len(found) < its.room and len(rows) < limit:
                    self._fronts.pop(its[:2], None)
                elif found and (known := self._fronts.get(its[:2])) is not None:
                    # Another thread may have dropped it meanwhile.
                    self._fronts[its[:2]] = (_last(found), known[1])

    def drop(self, stretches: Sequence[Stretch]) -> None:
        for its in stretches:
            self._fronts.pop(its[:2], None)


def _last(rows: Sequence[Row]) -> Front:
    return max((row[_PRECEDENCE], row[_DUE_AT], str(row[_ID])) for row in rows)
