"""How much to claim ahead: nothing while tasks are long, so that none waits here while a worker elsewhere is idle."""

from __future__ import annotations

#: Seconds of work that may be claimed beyond the free slots, and the most jobs that is.
AHEAD, MOST = 0.03, 500
#: Seconds after which what was claimed ahead and has not begun is given back: tasks take longer than was believed.
LATE = 0.05
_WEIGHT = 0.1


class Prefetch:
    """Learns from how long recent tasks took."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._seconds: float | None = None

    def note(self, seconds: float) -> None:
        known = self._seconds
        # A long task is believed at once, a short one by and by.
        weight = 1.0 if known is None or seconds > 4 * known and seconds > AHEAD else _WEIGHT
        self._seconds = seconds if known is None else known + weight * (seconds - known)

    def was_too_much(self, seconds: float) -> None:
        """Take note that tasks take longer than believed: some waited for so many seconds, and none of them has begun."""
        self._seconds = max(seconds, 2 * (self._seconds or 0.0))

    def extra(self) -> int:
        """Return how many jobs to hold beyond one for each slot."""
        if self._seconds is None:
            return 0
        return min(MOST, int(AHEAD * self._concurrency / max(self._seconds, 1e-6)))
