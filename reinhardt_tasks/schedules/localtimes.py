"""Between the time that a clock on the wall shows and the moments that it shows it at: none, one or two of them.

A wall time here is a naive datetime, a moment an aware one in UTC. What a schedule means on the two days a year when the
clock is changed is decided by `next_fixed` and `next_running`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

#: The next wall time, later than the given one, that an expression names.
NextWall = Callable[[datetime], datetime]

_SECOND = timedelta(seconds=1)
#: No clock is set back by more than this.
_DAY = timedelta(days=1)


def next_fixed(find: NextWall, now: datetime, zone: tzinfo) -> datetime:
    """Return the first moment after `now` for times of the day: each wall time has exactly one moment.

    One that the clock skips has the first moment after the gap; one that it shows twice has the first of the two.
    """
    wall = wall_of(now, zone)
    while True:
        wall = find(wall)
        moments = moments_of(wall, zone)
        moment = moments[0] if moments else gap_end(wall, zone)
        if moment > now:
            return moment
        # The clock shows an hour for the second time, and all that is left of it has had its moment.
        wall = max(wall, _overlap_end(wall, zone) - _SECOND)


def next_running(find: NextWall, now: datetime, zone: tzinfo) -> datetime:
    """Return the first moment after `now` at which the clock shows a wall time of these, as real time runs.

    A time that is skipped has no moment, one that is shown twice has two.
    """
    wall = wall_of(now, zone)
    while True:
        wall = find(wall)
        if found := [moment for moment in moments_of(wall, zone) if moment > now]:
            break
        wall = wall_of(gap_end(wall, zone), zone) - _SECOND
    first = found[0]
    # On the way there the clock may be set back, and show again what it showed before `now`.
    horizon = min(first, now + _DAY)
    before, after = _offset(now, zone), _offset(horizon, zone)
    if after >= before:
        return first
    turn = _change(zone, now, horizon)
    again = find(_wall(turn, after) - _SECOND)
    return min(first, _moment(again, after)) if again < _wall(turn, before) else first


def wall_of(moment: datetime, zone: tzinfo) -> datetime:
    """Return what the clock shows, in whole seconds."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0, microsecond=0)


def moments_of(wall: datetime, zone: tzinfo) -> list[datetime]:
    """Return the moments at which the clock shows `wall`, in order."""
    tried = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(moment for moment in tried if wall_of(moment, zone) == wall)


def gap_end(wall: datetime, zone: tzinfo) -> datetime:
    """Return the first moment after the gap in which `wall` lies."""
    return _change(zone, *_sides(wall, zone))


def _overlap_end(wall: datetime, zone: tzinfo) -> datetime:
    """Return the wall time at which the repeated time, in which `wall` lies, is over."""
    before, after = _sides(wall, zone)
    return _wall(_change(zone, before, after), _offset(before, zone))


def _sides(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return a moment before and one after the change of the clock in whose gap or overlap `wall` lies."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return min(first, second), max(first, second)


def _change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """Return the moment between two at which the clock is changed. It is a whole second, as in all of the tz database."""
    offset = _offset(before, zone)
    before, after = before.replace(microsecond=0), after.replace(microsecond=0)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _wall(moment: datetime, offset: timedelta) -> datetime:
    return (moment + offset).replace(tzinfo=None)


def _moment(wall: datetime, offset: timedelta) -> datetime:
    return (wall - offset).replace(tzinfo=UTC)
