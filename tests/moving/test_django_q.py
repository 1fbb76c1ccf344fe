"""`manage.py tasks import` from django-q2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps

from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.scheduling import list_schedules
from tests.moving.chores import CONFESS, REMIND, REPORT
from tests.moving.houses import found, moved_in, needs, told

pytestmark = needs("django_q")

BERLIN = ZoneInfo("Europe/Berlin")
#: A Wednesday, in January, ahead of all clocks.
FIRST = datetime(2031, 1, 15, 6, 30, tzinfo=BERLIN)


@pytest.fixture(autouse=True)
def house(sqlite_database: str, settings: Any, django_db_blocker: Any) -> Iterator[None]:
    settings.Q_CLUSTER = {"name": "shop", "orm": "default", "time_zone": "Europe/Berlin", "timeout": 60, "retry": 120}
    with moved_in("django_q", "django_q", sqlite_database, settings, django_db_blocker):
        yield


def schedule(kind: str = "D", func: str = REPORT, next_run: datetime | None = FIRST, **fields: Any) -> Any:
    return apps.get_model("django_q", "Schedule").objects.create(
        **{"func": func, "schedule_type": kind, "name": "one", "next_run": next_run, **fields}
    )


def one(*words: str) -> dict[str, Any]:
    """Return what the import tells of the only schedule."""
    (told_of,) = found(*words).values()
    return told_of


def slots(number: int = 3) -> list[datetime]:
    """Return the next slots of the only schedule here, on Berlin's clock and without a zone."""
    (view,) = list_schedules(number)
    return [slot.astimezone(BERLIN).replace(tzinfo=None) for slot in view.next]


def at(*days: tuple[int, int, int], hour: int = 6, minute: int = 30) -> list[datetime]:
    return [datetime(year, month, day, hour, minute) for year, month, day in days]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("O", at((2031, 1, 15))),
        ("D", at((2031, 1, 15), (2031, 1, 16), (2031, 1, 17))),
        ("W", at((2031, 1, 15), (2031, 1, 22), (2031, 1, 29))),
        ("BW", at((2031, 1, 15), (2031, 1, 29), (2031, 2, 12))),
        ("M", at((2031, 1, 15), (2031, 2, 15), (2031, 3, 15))),
        ("BM", at((2031, 1, 15), (2031, 3, 15), (2031, 5, 15))),
        ("Q", at((2031, 1, 15), (2031, 4, 15), (2031, 7, 15))),
        ("Y", at((2031, 1, 15), (2032, 1, 15), (2033, 1, 15))),
    ],
)
def test_each_type_has_the_times_that_django_q_gives_it(kind: str, expected: list[datetime]) -> None:
    there = schedule(kind)
    assert one()["verdict"] == "imported"
    assert slots() == expected
    # The same by its own words.
    moment = FIRST
    for slot in expected[1:]:
        moment = there.calculate_next_run(moment)
        assert moment.astimezone(BERLIN).replace(tzinfo=None) == slot


@pytest.mark.parametrize(("kind", "step"), [("H", timedelta(hours=1)), ("I", timedelta(minutes=7))])
def test_short_ones_keep_their_rhythm(kind: str, step: timedelta) -> None:
    schedule(kind, minutes=7)
    told()
    first = FIRST.replace(tzinfo=None)
    assert slots() == [first, first + step, first + 2 * step]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("30 6 * * 1-5", "30 6 * * 1-5"), ("30 6 * * 1-5 20", "20 30 6 * * 1-5")],
    ids=["five fields", "six, the second last"],
)
def test_a_cron_expression_is_read_as_it_is_there(expression: str, expected: str) -> None:
    # Saved as it is read there: what saves it anew wants croniter, which is here.
    schedule("C", cron=expression)
    assert one()["verdict"] == "imported"
    kept = json.loads(ScheduleRow.objects.get().schedule)
    assert (kept["expression"], kept["tz"], kept["seconds"]) == (expected, "Europe/Berlin", len(expected.split()) == 6)


def test_a_sunday_is_the_sunday() -> None:
    schedule("W", next_run=datetime(2031, 1, 19, 6, 30, tzinfo=BERLIN))
    told()
    assert slots() == at((2031, 1, 19), (2031, 1, 26), (2031, 2, 2))


def test_seconds_of_the_next_run_are_kept() -> None:
    schedule("D", next_run=FIRST.replace(second=21, microsecond=123))
    told()
    assert slots(1) == [datetime(2031, 1, 15, 6, 30, 21)]


def test_what_is_to_run_a_few_times_ends_then() -> None:
    schedule("D", repeats=2)
    told()
    assert slots(9) == at((2031, 1, 15), (2031, 1, 16))


@pytest.mark.parametrize(
    ("kwargs", "expected"), [("{'full': True}", {"full": True}), ("full=True, day='x'", {"full": True, "day": "x"})]
)
def test_both_ways_to_write_arguments_are_read(kwargs: str, expected: dict[str, Any]) -> None:
    schedule(kwargs=kwargs)
    told()
    assert json.loads(ScheduleRow.objects.get().kwargs) == expected


@pytest.mark.parametrize(("args", "expected"), [("7", [7]), ("(7,)", [7]), (None, [])])
def test_arguments_by_position_are_read(args: str | None, expected: list[int]) -> None:
    schedule(func=REMIND if expected else REPORT, args=args)
    told()
    assert json.loads(ScheduleRow.objects.get().args) == expected


def test_a_function_becomes_a_task_of_another_name_and_a_cluster_a_queue() -> None:
    schedule(func="shop.jobs.report", cluster="long")
    assert one("--rename", f"shop.jobs.report={REPORT}", "--rename-queue", "long=emails")["verdict"] == "imported"
    row = ScheduleRow.objects.get()
    assert (row.task, row.queue) == (REPORT, "emails")


def test_schedules_of_one_name_or_none_stay_apart() -> None:
    for name in ("one", "one", None, None):
        schedule(name=name)
    assert told()[0] == 0
    assert ScheduleRow.objects.count() == 4
    before = list(ScheduleRow.objects.order_by("name").values())
    assert "here already: 4" in told()[1]
    assert list(ScheduleRow.objects.order_by("name").values()) == before


def test_one_that_is_due_there_goes_on_here_and_says_so() -> None:
    schedule("D", next_run=datetime.now(UTC) - timedelta(hours=1))
    assert "does not come along" in one()["notes"][0]
    assert ScheduleRow.objects.get().next_slot > datetime.now(UTC)


def test_what_is_refused_is_told_without_redacted_arguments() -> None:
    schedule(func=CONFESS, args="swordfish()")
    schedule(func=CONFESS, kwargs="'swordfish'")
    words = told("--dry-run")[1]
    assert words.count("cannot be [redacted]") == 2 and "swordfish" not in words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hook": "shop.hooks.mail"}, "hook"),
        ({"intended_date_kwarg": "day"}, "scheduled_for"),
        ({"kwargs": "q_options={'timeout': 3}"}, "q_options have no counterpart"),
        ({"kwargs": "1, 2"}, "kwargs cannot be"),
        ({"kwargs": "["}, "kwargs cannot be"),
        ({"kwargs": "a=1), g(b=2"}, "kwargs cannot be"),
        ({"kwargs": "a=1)(b=2"}, "kwargs cannot be"),
        ({"args": "now()"}, "args cannot be"),
        ({"args": "(1, 2, 3)"}, "cannot be called"),
        ({"func": "math.copysign"}, "--rename math.copysign="),
        ({"kind": "M", "next_run": datetime(2031, 1, 31, tzinfo=UTC)}, "not every month"),
        ({"kind": "O", "next_run": datetime(2021, 1, 31, tzinfo=UTC)}, "is over"),
        ({"kind": "XX"}, "not known"),
        ({"repeats": 20_000}, "give it an end"),
        ({"cluster": "attic"}, "attic"),
    ],
)
def test_what_cannot_be_the_same_here_is_refused(fields: dict[str, Any], words: str) -> None:
    schedule(**fields)
    rehearsed = one("--dry-run")
    assert (told()[0], rehearsed["verdict"]) == (1, "refused")
    assert words in rehearsed["reason"]
    assert not ScheduleRow.objects.exists()


def test_what_has_no_run_left_is_left() -> None:
    schedule(repeats=0)
    schedule(next_run=None)
    assert told()[0] == 0
    assert {each["verdict"] for each in found().values()} == {"left"}
