"""Cron expressions as values: what is refused and with which words, how they are shown, kept and copied."""

from __future__ import annotations

import ast
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reinhardt_tasks.exceptions import InvalidSchedule
from reinhardt_tasks.schedules import (
    At,
    CronSchedule,
    IntervalSchedule,
    Schedule,
    as_schedule,
    cron,
    schedule_as_text,
    schedule_from_text,
)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_croniter_made_of_an_expression_is_kept_by_each_thread_for_itself() -> None:
    """It remembers where it is: two threads that shared one would lead each other astray."""
    reader = cron._reader("7 * * * *", False)
    assert cron._reader("7 * * * *", False) is reader
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cron._reader, "7 * * * *", False).result() is not reader


def test_so_many_expressions_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "_readers", cron._Readers())
    monkeypatch.setattr(cron, "_MOST_READERS", 3)
    for minute in range(10):
        assert CronSchedule(f"{minute} * * * *", "UTC").next_after(NEW_YEAR - timedelta(minutes=1)) is not None
        assert len(cron._readers.of) <= 3


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * *", "has 4 fields; five are expected (minute, hour, day of the month, month, day of the week)"),
        ("", "has 0 fields"),
        ("0 0 0 1 1 *", "With seconds=True a sixth is read, which stands first: the second"),
        ("60 * * * *", "the minute field '60' has '60' where a number from 0 to 59 is expected"),
        ("0 24 * * *", "the hour field '24' has '24' where a number from 0 to 23"),
        ("0 0 0 * *", "the day of the month field '0' has '0' where a number from 1 to 31"),
        ("0 0 * jnu *", "the month field 'jnu' has 'jnu', which is none of its names: did you mean 'jun'?"),
        (
            "0 0 * * mond",
            "the day of the week field 'mond' has 'mond', which is none of its names: did you mean 'mon'?",
        ),
        ("0 0 * * 8", "the day of the week field '8'"),
        ("0 0 * * fri#6", "the day of the week field 'fri#6'"),
        ("*/90 * * * *", "the minute field '*/90' has the step 90, and goes round after 60"),
        ("0 */24 * * *", "the hour field '*/24' has the step 24"),
        ("*/0 * * * *", "the minute field '*/0' has the step 0"),
        ("*/x * * * *", "the step 'x', which is no whole number"),
        ("1,,2 * * * *", "has a comma with nothing beside it"),
        ("5-5 * * * *", "has the range '5-5' of one value. Write '5'"),
        ("? * * * *", "the minute field '?'"),
        ("h 0 * * *", "Use jitter= to spread schedules"),
        ("r(0-5) 0 * * *", "Use jitter= to spread schedules"),
        ("0 0 * * 1#1,2", "the day of the week field '1#1,2' cannot be read"),
        ("0 0 15w,16 * *", "the day of the month field '15w,16' cannot be read"),
        ("0 0 30 2 *", "never comes: no month that it names has such a day"),
        ("0 0 31 4,6,9 *", "never comes"),
        ("@dayly", "did you mean '@daily'?"),
        ("@reboot", "is no word that names times of the clock: known are @yearly"),
        ("٣ * * * *", "the minute field '٣'"),
    ],
)
def test_a_bad_expression_is_refused_where_it_is_written_with_the_bad_field(expression: str, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        CronSchedule(expression)
    assert words in str(caught.value)
    assert repr(expression) in str(caught.value)


def test_five_fields_where_six_are_announced_are_refused() -> None:
    with pytest.raises(InvalidSchedule, match="six are expected .second, minute.* Write '0 ' before it"):
        CronSchedule("0 3 * * *", seconds=True)


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Berln", "Did you mean 'Europe/Berlin'?"),
        ("", "There is no time zone ''"),
        (5, "There is no time zone 5"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_name(zone: Any, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        CronSchedule("0 3 * * *", tz=zone)
    assert words in str(caught.value)


def test_the_zone_is_the_settings_own_where_none_is_named(settings: Any) -> None:
    schedule = CronSchedule("0 3 * * *")
    settings.TIME_ZONE = "Asia/Tokyo"
    assert schedule.next_after(NEW_YEAR) == datetime(2026, 1, 1, 18, tzinfo=UTC)
    assert "Asia/Tokyo" in str(schedule)
    assert CronSchedule("0 3 * * *", ZoneInfo("Asia/Tokyo")).tz == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("0 0 l * *", [(1, 31), (2, 28), (3, 31)]),
        ("0 0 * * L5", [(1, 30), (2, 27), (3, 27)]),
        ("0 0 * * fri#2", [(1, 9), (2, 13), (3, 13)]),
        ("0 0 15W * *", [(1, 15), (2, 16), (3, 16)]),
        ("0 0 1 JAN-MAR/2 *", [(3, 1)]),
        ("0 0 ? * Sun", [(1, 4), (1, 11)]),
        ("0 0 * * 7", [(1, 4), (1, 11)]),
        ("0 0 13 * 5", [(1, 2), (1, 9), (1, 13)]),
        ("0 0 * * sat-sun", [(1, 3), (1, 4), (1, 10)]),
        ("@weekly", [(1, 4), (1, 11)]),
        ("@Monthly", [(2, 1), (3, 1)]),
    ],
)
def test_names_words_and_special_days(expression: str, following: list[tuple[int, int]]) -> None:
    schedule, moment = CronSchedule(expression, "UTC"), NEW_YEAR
    for month, day in following:
        moment = schedule.next_after(moment)
        assert moment == datetime(2026, month, day, tzinfo=UTC)


def test_the_second_stands_first() -> None:
    schedule = CronSchedule("*/20 30 2 * * *", "UTC", seconds=True)
    moments = [NEW_YEAR]
    for _ in range(4):
        moments.append(schedule.next_after(moments[-1]))
    shown = [f"{moment:%d %H:%M:%S}" for moment in moments[1:]]
    assert shown == ["01 02:30:00", "01 02:30:20", "01 02:30:40", "02 02:30:00"]


def test_seconds_run_through_the_repeated_hour_too() -> None:
    schedule = CronSchedule("30 * * * * *", "Europe/Berlin", seconds=True)
    moment = datetime(2026, 10, 24, 23, 59, 30, tzinfo=UTC)
    for number in range(1, 181):
        moment = schedule.next_after(moment)
        assert moment == datetime(2026, 10, 24, 23, 59, 30, tzinfo=UTC) + timedelta(minutes=number)


@pytest.mark.parametrize("schedule", [CronSchedule("0 3 * * *"), IntervalSchedule(5), At(NEW_YEAR)], ids=repr)
def test_a_moment_without_a_zone_is_refused(schedule: Schedule) -> None:
    with pytest.raises(InvalidSchedule, match="needs a time zone.*make_aware"):
        schedule.next_after(datetime(2026, 1, 1))


def test_the_years_end_where_pythons_do() -> None:
    assert CronSchedule("0 3 * * *", "UTC").next_after(datetime.max.replace(tzinfo=UTC)) is None
    assert IntervalSchedule(3600).next_after(datetime.max.replace(tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute, UTC time"),
        ("*/15 * * * *", "every 15 minutes, UTC time"),
        ("0 * * * *", "at minute 0, every hour, UTC time"),
        ("0 */2 * * *", "at minute 0, every 2 hours, UTC time"),
        ("30 2 * * *", "at 02:30 every day, UTC time"),
        ("0 9,17 * * mon-fri", "at 09:00 and 17:00 on Monday to Friday, UTC time"),
        ("0 0 1,15 * *", "at 00:00 on day 1 and day 15 of the month, UTC time"),
        ("0 0 l jan *", "at 00:00 on the last day of the month in January, UTC time"),
        ("0 0 1 * 1", "at 00:00 on day 1 of the month and also on Monday, UTC time"),
        ("0 9 * * fri#2", "at 09:00 on the second Friday of the month, UTC time"),
        ("0 9 * * l5", "at 09:00 on the last Friday of the month, UTC time"),
        ("0 0 15w * *", "at 00:00 on the weekday nearest to day 15 of the month, UTC time"),
        ("0 0 29 2 *", "at 00:00 on day 29 of the month in February, UTC time"),
        ("5-50/15 * * * *", "at minute 5 to 50 in steps of 15, UTC time"),
        ("@daily", "at 00:00 every day, UTC time"),
    ],
)
def test_it_tells_itself_in_words(expression: str, words: str) -> None:
    schedule = CronSchedule(expression, "UTC")
    assert str(schedule) == words
    assert schedule.expression == expression, "and is kept as it was written"


def test_others_tell_themselves_too() -> None:
    assert str(IntervalSchedule(1)) == "every second"
    assert str(IntervalSchedule(2.5)) == "every 2.5 seconds"
    assert str(IntervalSchedule(timedelta(minutes=90))) == "every 90 minutes"
    assert str(IntervalSchedule(timedelta(days=1), NEW_YEAR)) == "every day, counted from 2026-01-01 00:00:00 UTC"
    assert str(At(NEW_YEAR)) == "once, at 2026-01-01 00:00:00 UTC"


def test_an_interval_is_counted_from_its_anchor_on_both_sides() -> None:
    schedule = IntervalSchedule(timedelta(minutes=90), datetime(2026, 1, 1, 0, 7, tzinfo=UTC))
    assert schedule.next_after(NEW_YEAR) == datetime(2026, 1, 1, 0, 7, tzinfo=UTC)
    assert schedule.next_after(datetime(2026, 1, 1, 0, 7, tzinfo=UTC)) == datetime(2026, 1, 1, 1, 37, tzinfo=UTC)
    assert schedule.next_after(NEW_YEAR - timedelta(hours=2)) == datetime(2025, 12, 31, 22, 37, tzinfo=UTC)


def test_an_interval_takes_no_notice_of_clocks() -> None:
    schedule = IntervalSchedule(timedelta(hours=6), datetime(2026, 3, 28, tzinfo=ZoneInfo("Europe/Berlin")))
    moment = datetime(2026, 3, 28, 12, tzinfo=UTC)
    for _ in range(10):
        following = schedule.next_after(moment)
        assert following.hour % 6 == 5
        moment = following


@pytest.mark.parametrize("bad", [0, 0.5, -1, float("nan"), float("inf"), "5", True, None])
def test_an_interval_of_less_than_a_second_or_of_nothing_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidSchedule, match="interval of an IntervalSchedule"):
        IntervalSchedule(bad)


def test_one_moment_comes_once() -> None:
    assert At(NEW_YEAR).next_after(NEW_YEAR - timedelta(microseconds=1)) == NEW_YEAR
    assert At(NEW_YEAR).next_after(NEW_YEAR) is None


ALL_KINDS = [
    CronSchedule("0 3 * * *", "Europe/Berlin"),
    CronSchedule("@daily"),
    CronSchedule("0 0 3 * * *", "Asia/Tokyo", seconds=True),
    IntervalSchedule(timedelta(minutes=90)),
    IntervalSchedule(1.5, NEW_YEAR + timedelta(microseconds=3)),
    At(datetime(2027, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))),
]


@pytest.mark.parametrize("schedule", ALL_KINDS, ids=repr)
def test_it_is_a_value_that_can_be_kept_as_text_and_sent_to_others(schedule: Any) -> None:
    assert schedule_from_text(schedule_as_text(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert as_schedule(schedule) is schedule
    assert isinstance(schedule, Schedule)
    assert hash(schedule) == hash(pickle.loads(pickle.dumps(schedule)))
    with pytest.raises(FrozenInstanceError):
        setattr(schedule, fields(schedule)[0].name, None)


@pytest.mark.parametrize(
    ("value", "schedule"),
    [
        ("0 3 * * *", CronSchedule("0 3 * * *")),
        (timedelta(hours=1), IntervalSchedule(3600)),
        (90, IntervalSchedule(90)),
        (NEW_YEAR, At(NEW_YEAR)),
        ({"expression": "0 3 * * *", "tz": "Asia/Tokyo"}, CronSchedule("0 3 * * *", "Asia/Tokyo")),
    ],
)
def test_plain_values_stand_for_schedules(value: Any, schedule: Schedule) -> None:
    assert as_schedule(value) == schedule


def test_each_kind_can_be_written_as_the_dictionary_that_the_manual_shows() -> None:
    manual = Path("docs/schedules.md").read_text()
    shown = [ast.literal_eval(text) for text in re.findall(r'`(\{"kind".*?\})`', manual)]
    assert [as_schedule(each) for each in shown] == [
        IntervalSchedule(timedelta(minutes=5)),
        At(datetime(2027, 1, 1, tzinfo=UTC)),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 3 * * *", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"kind": "corn"}', "'kind' is one of cron, interval, at, not 'corn'"),
        ('{"kind": "cron"}', "cannot be read"),
        ('{"kind": "cron", "expression": "0 3 * *"}', "has 4 fields"),
        ('{"kind": "interval", "microseconds": "5"}', "cannot be read"),
        ('{"kind": "at", "moment": "tomorrow"}', "cannot be read"),
    ],
)
def test_a_text_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        schedule_from_text(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [None, True, object(), CronSchedule])
def test_what_is_no_schedule_is_refused(value: Any) -> None:
    with pytest.raises(InvalidSchedule, match="is no schedule. Use CronSchedule"):
        as_schedule(value)
