"""Whole years of a schedule in many zones, slot by slot, against a computation that has nothing in common with it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reinhardt_tasks.schedules import CronSchedule
from reinhardt_tasks.schedules.localtimes import next_fixed, next_running

from .independent import Fields, Stretch, moments, stretches

DAY = timedelta(days=1)

#: Zone → the year. Both hemispheres, quarters and halves of hours, half an hour of summer time, a change at midnight, rules
#: that changed within the year, a clock that is never changed.
ZONES = {
    "Europe/Berlin": 2026,
    "America/New_York": 2026,
    "America/Santiago": 2026,
    "Australia/Lord_Howe": 2026,
    "Asia/Kathmandu": 2026,
    "Pacific/Chatham": 2026,
    "America/St_Johns": 2026,
    "Asia/Kolkata": 2026,
    "Africa/Casablanca": 2026,
    "Asia/Beirut": 2026,
    # Summer time was given up in the midst of it.
    "Europe/Istanbul": 2016,
    # The 30th of December was left out.
    "Pacific/Apia": 2011,
    # Half an hour was won for good, at midnight of the summer.
    "Asia/Pyongyang": 2015,
    # Summer time for all the year from October on.
    "Asia/Amman": 2022,
}

EXPRESSIONS = [
    Fields("0 * * * *", minutes=frozenset({0})),
    Fields("0 */2 * * *", minutes=frozenset({0}), hours=frozenset(range(0, 24, 2))),
    Fields("*/20 2 * * *", minutes=frozenset({0, 20, 40}), hours=frozenset({2})),
    Fields("30 2 * * *", minutes=frozenset({30}), hours=frozenset({2}), is_fixed=True),
    Fields("15 1 * * *", minutes=frozenset({15}), hours=frozenset({1}), is_fixed=True),
    Fields("0 0 * * *", minutes=frozenset({0}), hours=frozenset({0}), is_fixed=True),
    Fields("0,30 1,2,3 * * *", minutes=frozenset({0, 30}), hours=frozenset({1, 2, 3}), is_fixed=True),
    Fields(
        "45 23 * * mon-fri",
        minutes=frozenset({45}),
        hours=frozenset({23}),
        weekdays=frozenset(range(5)),
        is_fixed=True,
    ),
]
#: So many slots that only the days around a change of the clock are counted out: elsewhere nothing can differ.
DENSE = [
    Fields("* * * * *"),
    Fields("*/15 * * * *", minutes=frozenset({0, 15, 30, 45})),
    Fields("10-12 0-23 * * *", minutes=frozenset({10, 11, 12}), is_fixed=True),
]
AROUND = timedelta(hours=27)


@lru_cache
def shown(zone: str) -> list[Stretch]:
    first, last = year(zone)
    return stretches(ZoneInfo(zone), first - 5 * DAY, last + 5 * DAY)


def year(zone: str) -> tuple[datetime, datetime]:
    number = ZONES[zone]
    return datetime(number, 1, 1, tzinfo=UTC) - DAY, datetime(number + 1, 1, 1, tzinfo=UTC)


def series(schedule: CronSchedule, first: datetime, last: datetime) -> list[datetime]:
    found: list[datetime] = []
    moment = schedule.next_after(first)
    while moment is not None and moment <= last:
        found.append(moment)
        moment = schedule.next_after(moment)
    return found


@pytest.mark.parametrize("fields", EXPRESSIONS, ids=lambda fields: fields.expression)
@pytest.mark.parametrize("zone", ZONES)
def test_every_slot_of_a_year_comes_exactly_once(zone: str, fields: Fields) -> None:
    first, last = year(zone)
    expected = moments(fields, shown(zone), first, last)
    assert series(CronSchedule(fields.expression, zone), first, last) == expected
    assert len(expected) > 250


@pytest.mark.parametrize("fields", DENSE, ids=lambda fields: fields.expression)
@pytest.mark.parametrize("zone", ZONES)
def test_every_slot_comes_exactly_once_around_each_change_of_the_clock(zone: str, fields: Fields) -> None:
    changes = [stretch.begin for stretch in shown(zone)[1:]]
    assert changes or zone in ("Asia/Kathmandu", "Asia/Kolkata")
    for change in changes or [year(zone)[0] + 100 * DAY]:
        first, last = change - AROUND, change + AROUND
        expected = moments(fields, shown(zone), first, last)
        assert series(CronSchedule(fields.expression, zone), first, last) == expected
        assert fields.expression != "* * * * *" or len(expected) == 2 * AROUND / timedelta(minutes=1)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("REINHARDT_TESTS_SLOW") != "1", reason="slow: set REINHARDT_TESTS_SLOW=1")
@pytest.mark.parametrize("zone", list(ZONES)[:10])
def test_every_minute_of_a_year_comes_exactly_once(zone: str) -> None:
    first, last = year(zone)
    expected = moments(DENSE[0], shown(zone), first, last)
    assert len(expected) == (last - first) / timedelta(minutes=1)
    assert series(CronSchedule(DENSE[0].expression, zone), first, last) == expected


@pytest.mark.parametrize("zone", ZONES)
def test_a_leap_day_comes_every_four_years(zone: str) -> None:
    found = series(CronSchedule("0 0 29 2 *", zone), datetime(2019, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC))
    walls = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in found]
    assert walls == [datetime(number, 2, 29) for number in range(2020, 2041, 4)]


@pytest.mark.parametrize("change", [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)])
@pytest.mark.parametrize("find_next", [next_fixed, next_running])
def test_seconds_are_not_gone_through_one_by_one_where_the_clock_was_changed(find_next: Any, change: datetime) -> None:
    asked = []

    def every_second(wall: datetime) -> datetime:
        asked.append(wall)
        return wall + timedelta(seconds=1)

    for seconds in (-61, -1, 0, 1, 1800, 3599, 3600):
        asked.clear()
        assert find_next(every_second, change + timedelta(seconds=seconds), ZoneInfo("Europe/Berlin")) is not None
        assert len(asked) <= 3


@pytest.mark.parametrize("fields", [*EXPRESSIONS, DENSE[1]], ids=lambda fields: fields.expression)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Casablanca"])
def test_it_may_be_asked_from_any_moment(zone: str, fields: Fields) -> None:
    """A restart asks from wherever it is, in the midst of a gap or a repeated hour too."""
    schedule = CronSchedule(fields.expression, zone)
    for change in [stretch.begin for stretch in shown(zone)[1:]]:
        expected = moments(fields, shown(zone), change - 2 * DAY, change + 7 * DAY)
        asked = change - timedelta(hours=4)
        while asked < change + timedelta(hours=4):
            assert schedule.next_after(asked) == next(slot for slot in expected if slot > asked), asked
            asked += timedelta(minutes=3, seconds=11, microseconds=7)
