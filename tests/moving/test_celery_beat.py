"""`manage.py tasks import` from django-celery-beat."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from reinhardt_tasks import CronSchedule, scheduled
from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.schedules import declared
from reinhardt_tasks.scheduling import edit, list_schedules
from tests import databases
from tests.moving import chores
from tests.moving.chores import CONFESS, REMIND, REPORT
from tests.moving.houses import To, facts, found, moved_in, needs, told
from tests.settings import sqlite
from tests.test_docs import ROOT

pytestmark = needs("django_celery_beat")

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
YESTERDAY = TOMORROW - timedelta(days=2)


@pytest.fixture(autouse=True)
def house(sqlite_database: str, settings: Any, django_db_blocker: Any) -> Iterator[None]:
    with moved_in("django_celery_beat", "django_celery_beat", sqlite_database, settings, django_db_blocker):
        yield


def kind(name: str) -> Any:
    return apps.get_model("django_celery_beat", name)


def cron(**fields: str) -> Any:
    return kind("CrontabSchedule").objects.create(**{"minute": "0", "hour": "3", "timezone": "Europe/Berlin", **fields})


def interval(every: int, period: str = "minutes") -> Any:
    return kind("IntervalSchedule").objects.create(every=every, period=period)


def clocked(at: datetime) -> Any:
    return kind("ClockedSchedule").objects.create(clocked_time=at)


def periodic(name: str = "one", task: str = REPORT, **fields: Any) -> Any:
    if not fields.keys() & {"crontab", "interval", "clocked", "solar"}:
        fields["crontab"] = cron()
    return kind("PeriodicTask").objects.create(name=name, task=task, **fields)


def row(name: str = "one") -> ScheduleRow:
    return ScheduleRow.objects.get(name=name)


def schedule(name: str = "one") -> Any:
    return json.loads(row(name).schedule)


def test_a_crontab_keeps_its_fields_and_its_zone() -> None:
    periodic(crontab=cron(minute="*/15", hour="8, 18", day_of_week="1-5", timezone="Asia/Tokyo"))
    assert found()["one"]["verdict"] == "imported"
    assert schedule() == {"kind": "cron", "expression": "*/15 8,18 * * 1-5", "tz": "Asia/Tokyo", "seconds": False}
    assert row().next_slot is not None


def test_arguments_queue_and_times_come_along() -> None:
    periodic(
        task=REMIND,
        args="[7]",
        queue="mail",
        start_time=TOMORROW,
        expires=TOMORROW + timedelta(days=9),
        interval=interval(10),
        priority=9,
    )
    assert found("--rename-queue", "mail=emails", "--first-priority", "9")["one"]["verdict"] == "imported"
    ours = row()
    assert (ours.task, ours.args, ours.kwargs, ours.queue) == (REMIND, "[7]", "{}", "emails")
    assert (ours.start_at, ours.end_at) == (TOMORROW, TOMORROW + timedelta(days=9))
    assert ours.priority == 100
    assert ours.next_slot >= TOMORROW


def test_an_interval_keeps_its_rhythm() -> None:
    last = datetime.now(UTC) - timedelta(minutes=7)
    periodic(interval=interval(10), last_run_at=last)
    found()
    assert row().next_slot == last + timedelta(minutes=10)


def test_a_clocked_task_comes_once() -> None:
    periodic(clocked=clocked(TOMORROW), one_off=True, kwargs='{"full": true}')
    found()
    assert (row().next_slot, row().kwargs) == (TOMORROW, '{"full": true}')
    (view,) = list_schedules(5)
    assert view.next == (TOMORROW,)


def test_a_task_that_runs_once_comes_at_its_next_time_only() -> None:
    periodic(crontab=cron(), one_off=True)
    found()
    (view,) = list_schedules(5)
    assert view.next == (CronSchedule("0 3 * * *", tz="Europe/Berlin").next_after(datetime.now(UTC)),)


def test_what_is_switched_off_stays_so_and_all_is_where_asked_for() -> None:
    periodic("off", enabled=False)
    periodic("on")
    found()
    assert row("on").enabled and not row("off").enabled
    row("on").delete()
    found("--off")
    assert not row("on").enabled and row("on").next_slot is None


def test_a_second_time_changes_nothing_not_even_what_was_edited_since() -> None:
    periodic("one")
    periodic("two")
    told()
    edit("one", schedule="5 5 * * *")
    before = list(ScheduleRow.objects.order_by("name").values())
    code, words = told()
    assert (code, "here already: 2" in words) == (0, True)
    assert list(ScheduleRow.objects.order_by("name").values()) == before


def test_a_rehearsal_tells_the_same_and_writes_nothing() -> None:
    periodic("one")
    periodic("bad", task="shop.tasks.gone")
    rehearsed = found("--dry-run")
    assert not ScheduleRow.objects.exists()
    assert found() == rehearsed
    assert {name: each["verdict"] for name, each in rehearsed.items()} == {"one": "imported", "bad": "refused"}


def test_a_task_may_have_another_name_here() -> None:
    periodic(task="old.tasks.report")
    assert "--rename old.tasks.report=" in found()["one"]["reason"]
    assert found("--rename", f"old.tasks.report={REPORT}")["one"]["task"] == REPORT
    assert row().task == REPORT


def test_what_code_declares_is_there_already() -> None:
    scheduled("0 3 * * *", name="one")(chores.report)
    try:
        periodic("one")
        assert found()["one"]["verdict"] == "present"
        assert not ScheduleRow.objects.exists()
    finally:
        declared.unregister("one")


def test_another_schedule_of_the_name_is_not_taken_for_it() -> None:
    periodic("one", task=REMIND, args="[1]")
    told()
    kind("PeriodicTask").objects.update(task=REPORT, args="[]")
    assert found()["one"]["verdict"] == "refused"
    assert row().task == REMIND


def test_long_names_stay_apart() -> None:
    for end in "ab":
        periodic("x" * 150 + end)
    told()
    assert ScheduleRow.objects.count() == 2
    assert "here already: 2" in told()[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"args": "[1"}, "no JSON"),
        ({"args": "{}"}, "args cannot be {}"),
        ({"args": '["a", "b"]'}, "cannot be called"),
        ({"expire_seconds": 60}, "never does"),
        ({"priority": 3}, "--first-priority"),
        ({"queue": "attic"}, "attic"),
    ],
)
def test_what_cannot_be_the_same_here_is_refused(fields: dict[str, Any], words: str) -> None:
    periodic(**fields)
    code, _ = told("--dry-run")
    one = found()["one"]
    assert (code, one["verdict"]) == (1, "refused")
    assert words in one["reason"]
    assert not ScheduleRow.objects.exists()


def test_what_is_refused_is_told_without_redacted_arguments() -> None:
    periodic("args", task=CONFESS, args='{"day": "swordfish"}')
    periodic("kwargs", task=CONFESS, kwargs='["swordfish"]')
    periodic("unknown", task="gone.tasks.none", args='"swordfish"')
    words = told("--dry-run")[1]
    assert "cannot be [redacted]" in words and "swordfish" not in words


def test_times_that_mean_something_else_here_are_refused() -> None:
    periodic("sun", solar=kind("SolarSchedule").objects.create(event="sunset", latitude=52, longitude=13))
    periodic("days", crontab=cron(day_of_month="13", day_of_week="5"))
    periodic("missed", clocked=clocked(YESTERDAY), one_off=True)
    periodic("fast", interval=interval(1, "microseconds"))
    told_of = found("--off")
    assert {each["verdict"] for each in told_of.values()} == {"refused"}
    assert "by the sun" in told_of["sun"]["reason"]
    assert "either does" in told_of["days"]["reason"] and "is over" in told_of["missed"]["reason"]


def test_what_is_over_is_left() -> None:
    periodic("ran", clocked=clocked(YESTERDAY), one_off=True, enabled=False, total_run_count=1)
    periodic("ran too", crontab=cron(), one_off=True, enabled=False, total_run_count=1)
    periodic("ended", expires=YESTERDAY)
    periodic("cleanup", task="celery.backend_cleanup")
    code, _ = told()
    assert code == 0
    assert {each["verdict"] for each in found().values()} == {"left"}


def test_what_is_left_out_is_told() -> None:
    periodic(exchange="topic", routing_key="a.b", headers='{"x": 1}', description="for the boss")
    assert len(found("--dry-run")["one"]["notes"]) == 4
    assert "'topic'" in told()[1]


def test_redis_and_rabbitmq_count_priorities_from_other_ends() -> None:
    periodic("first", priority=0)
    periodic("fifth", priority=5)
    told("--first-priority", "0")
    assert [row(name).priority for name in ("first", "fifth")] == [0, -56]


def test_tables_that_are_not_there_are_told_of(settings: Any, tmp_path: Path) -> None:
    with databases.known("empty", sqlite(tmp_path / "empty.sqlite3")):
        settings.DATABASE_ROUTERS = [To("empty")]
        code, words = told()
    assert (code, "celery-beat" in words, "no such table" in words) == (3, True, True)


def test_where_from_can_be_said() -> None:
    periodic()
    assert told("--from", "celery-beat", "--dry-run")[0] == 0
    assert told("--from", "django-q2")[0] == 2


def test_the_manual_has_each_key_of_the_json() -> None:
    periodic()
    told_of = facts("--dry-run")
    (line,) = re.findall(r"^\| `import` \|.*$", (ROOT / "docs" / "commands.md").read_text(), flags=re.MULTILINE)[-1:]
    keys = {*told_of, *told_of["found"][0], *told_of["counts"]}
    assert [key for key in keys if f"`{key}`" not in line] == []
