"""When a schedule is due, computed by other means: the year is cut where the clock was changed, and counted out in between.

No croniter, and nothing of the package: sets of numbers for the fields, zoneinfo, and arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ALL_MINUTES, ALL_HOURS = frozenset(range(60)), frozenset(range(24))


@dataclass(frozen=True)
class Fields:
    """An expression as sets. `is_fixed`: whether it names times of the day, and so no field of its time has a star."""

    expression: str
    minutes: frozenset[int] = ALL_MINUTES
    hours: frozenset[int] = ALL_HOURS
    dates: frozenset[tuple[int, int]] | None = None
    weekdays: frozenset[int] | None = field(default=None)
    is_fixed: bool = False

    def has_date(self, day: date) -> bool:
        """`weekdays` count from Monday, 0."""
        return (self.dates is None or (day.month, day.day) in self.dates) and (
            self.weekdays is None or day.weekday() in self.weekdays
        )


@dataclass(frozen=True)
class Stretch:
    """A time in which the clock runs evenly: its first moment, what the clock shows then, and what it would show at the end."""

    begin: datetime
    shows: datetime
    until: datetime


def stretches(zone: ZoneInfo, first: datetime, last: datetime) -> list[Stretch]:
    """Return the stretches between two moments. The clock is looked at every hour, and every minute where it was changed."""
    found = []
    begin = moment = first.replace(minute=0, second=0, microsecond=0)
    while moment < last:
        following = moment + HOUR
        if _offset(following, zone) != _offset(moment, zone):
            while _offset(moment + MINUTE, zone) == _offset(begin, zone):
                moment += MINUTE
            found.append(Stretch(begin, _wall(begin, zone), _wall(moment, zone) + MINUTE))
            begin = moment + MINUTE
        moment = following
    return [*found, Stretch(begin, _wall(begin, zone), _wall(moment, zone))]


def moments(fields: Fields, shown: list[Stretch], first: datetime, last: datetime) -> list[datetime]:
    """Return every due moment after `first` and up to `last`, in UTC. The stretches must reach days beyond both."""
    found = _fixed(fields, shown) if fields.is_fixed else _running(fields, shown)
    return sorted({moment for moment in found if first < moment <= last})


def _running(fields: Fields, shown: list[Stretch]) -> Iterator[datetime]:
    """As real time runs: each time that the clock shows a time that is named."""
    for stretch in shown:
        for wall in _named(fields, stretch.shows.date(), stretch.until.date()):
            if stretch.shows <= wall < stretch.until:
                yield stretch.begin + (wall - stretch.shows)


def _fixed(fields: Fields, shown: list[Stretch]) -> Iterator[datetime]:
    """Each named time of each day of the calendar once: when the clock first shows it, or else first shows a later time."""
    for wall in _named(fields, shown[0].shows.date() + timedelta(days=1), shown[-1].until.date() - timedelta(days=1)):
        stretch = next(each for each in shown if wall < each.until)
        yield stretch.begin + max(timedelta(0), wall - stretch.shows)


def _named(fields: Fields, day: date, last: date) -> Iterator[datetime]:
    times = [(hour, minute) for hour in sorted(fields.hours) for minute in sorted(fields.minutes)]
    while day <= last:
        if fields.has_date(day):
            yield from (datetime(day.year, day.month, day.day, *time) for time in times)
        day += timedelta(days=1)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
