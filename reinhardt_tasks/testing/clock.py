"""The time of a test: the real one, or as far ahead of it as the test has moved it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import CodeType, FunctionType
from typing import Any

from django.utils import timezone


class Clock:
    """Goes like any clock, and can be moved forward. From then on Django's `timezone.now()` follows it."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def moment(self, to: timedelta | datetime) -> datetime:
        """Return a moment, or the one that is so long from now. Raise ValueError for what lies behind."""
        now = self.now()
        moment = to if isinstance(to, datetime) else now + to
        if timezone.is_naive(moment):
            raise ValueError(f"travel() needs a moment with its time zone, not {to!r}.")
        if moment < now:
            raise ValueError(f"travel() moves time forward only; that lies {now - moment} back.")
        return moment

    def move(self, to: datetime) -> None:
        """Move forward to a moment."""
        self.ahead += to - self.now()
        djangos.follow(self)

    def close(self) -> None:
        djangos.leave(self)


class _DjangosClock:
    """Follows the innermost of ours that was moved.

    The code of `timezone.now` is replaced, not its name in that module: a model field with `default=timezone.now`, and
    whoever has imported `now`, hold the function itself.
    """

    def __init__(self) -> None:
        self._clocks: list[Clock] = []
        self._function: Any = None
        self._code: CodeType = _now_ahead.__code__

    def now(self) -> datetime:
        moment: datetime = FunctionType(self._code, vars(timezone))()
        # Another thread may ask while the last one leaves.
        return moment + next((clock.ahead for clock in reversed(self._clocks)), timedelta(0))

    def follow(self, clock: Clock) -> None:
        if clock not in self._clocks:
            self._clocks.append(clock)
        # What somebody has put in its place is theirs.
        if self._function is None and getattr(timezone.now, "__module__", None) == timezone.__name__:
            self._function, self._code = timezone.now, timezone.now.__code__
            self._function.__code__ = _now_ahead.__code__

    def leave(self, clock: Clock) -> None:
        if clock in self._clocks:
            self._clocks.remove(clock)
        if not self._clocks and self._function is not None:
            self._function.__code__ = self._code
            self._function = None


def _now_ahead() -> datetime:
    # Runs among the globals of django.utils.timezone.
    from reinhardt_tasks.testing.clock import djangos

    return djangos.now()


djangos = _DjangosClock()
