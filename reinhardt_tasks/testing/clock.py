"""The time of a test: the real one, or as far ahead of it as the test has moved it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
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

    What `timezone.now` asks is replaced, not that function: a model field with `default=timezone.now`, and whoever has
    imported `now`, hold the function itself.
    """

    def __init__(self) -> None:
        self._clocks: list[Clock] = []

    @property
    def ahead(self) -> timedelta:
        # Another thread may ask while the last one leaves.
        return next((clock.ahead for clock in reversed(self._clocks)), timedelta(0))

    def follow(self, clock: Clock) -> None:
        if clock not in self._clocks:
            self._clocks.append(clock)
        # What somebody else has put in its place is theirs.
        if timezone.datetime is datetime:  # type: ignore[attr-defined]
            timezone.datetime = _DatetimeAhead  # type: ignore[attr-defined]

    def leave(self, clock: Clock) -> None:
        if clock in self._clocks:
            self._clocks.remove(clock)
        if not self._clocks and timezone.datetime is _DatetimeAhead:  # type: ignore[attr-defined]
            timezone.datetime = datetime  # type: ignore[attr-defined]


class _AnyDatetime(type):
    """Django asks by the name that was replaced, too, whether something is a datetime."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class _DatetimeAhead(datetime, metaclass=_AnyDatetime):
    def __new__(cls, *args: Any, **kwargs: Any) -> datetime:  # type: ignore[misc]
        # Whoever makes one by Django's name wants what everybody has.
        return datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + djangos.ahead


djangos = _DjangosClock()
