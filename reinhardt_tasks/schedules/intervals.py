"""What no clock on the wall has a part in: every so many seconds, and one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..speech import gettext as _
from .moments import aware, in_utc, seconds_of
from .words import every

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The shortest interval, in seconds.
LEAST = 1.0


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """Every so often in real time, whatever is done to clocks: `IntervalSchedule(timedelta(minutes=90))`, or seconds.

    Its times lie whole intervals before and after `anchor`, by default the beginning of 1970 in UTC, so that they are the
    same for whoever computes them. Raise InvalidSchedule for less than a second.
    """

    every: timedelta
    anchor: datetime = _EPOCH

    def __post_init__(self) -> None:
        object.__setattr__(self, "every", seconds_of(self.every, "The interval of an IntervalSchedule", least=LEAST))
        object.__setattr__(self, "anchor", aware(self.anchor, "The anchor of an IntervalSchedule").astimezone(UTC))

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first time after `moment`, in UTC."""
        passed = (aware(moment).astimezone(UTC) - self.anchor) // self.every
        try:
            return self.anchor + (passed + 1) * self.every
        except OverflowError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values, as a row of it is stored."""
        return {
            "kind": "interval",
            "microseconds": self.every // timedelta(microseconds=1),
            "anchor": None if self.anchor == _EPOCH else in_utc(self.anchor),
        }

    def __str__(self) -> str:
        words = duration_in_words(self.every)
        if self.anchor == _EPOCH:
            return words
        return _("{words}, counted from {moment} UTC").format(words=words, moment=f"{self.anchor:%Y-%m-%d %H:%M:%S}")


@dataclass(frozen=True, slots=True)
class At:
    """One moment, once: `At(datetime(2027, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")))`."""

    moment: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "moment", aware(self.moment, "The moment of At").astimezone(UTC))

    def next_after(self, moment: datetime) -> datetime | None:
        """Return its moment, where that lies after the given one; None from then on."""
        return self.moment if self.moment > aware(moment) else None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values, as a row of it is stored."""
        return {"kind": "at", "moment": in_utc(self.moment)}

    def __str__(self) -> str:
        return _("once, at {moment} UTC").format(moment=f"{self.moment:%Y-%m-%d %H:%M:%S}")


_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def duration_in_words(duration: timedelta) -> str:
    """Return how often it comes: "every second", "every 90 minutes", "every 2.5 seconds"."""
    for name, unit in _UNITS:
        if duration % unit == timedelta():
            return every(name, str(duration // unit))
    return every("second", f"{duration.total_seconds():.6f}".rstrip("0").rstrip("."))
