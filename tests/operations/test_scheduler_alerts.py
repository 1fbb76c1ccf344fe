"""Schedules that nobody fires are told of where people look: on the overview and in `tasks status`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.operations import Alert, Store, overview
from reinhardt_tasks.schedules import CronSchedule
from reinhardt_tasks.scheduling import Scheduler, people
from tests import databases
from tests.commands.telling import data, told
from tests.operations import chores
from tests.servers.ports import ReservedPort
from tests.settings import sqlite

DAILY = {"task": chores.add.module_path, "schedule": "0 3 * * *", "args": [1]}
NOT_TAKEN_OVER = "1 schedule is declared, and no scheduler has taken it over: 'daily'."


@pytest.fixture
def kept(store: Store, sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[str]:
    """Tasks on each store, the schedules in a database."""
    with django_db_blocker.unblock():
        databases.emptied(sqlite_database)
        _options(settings)["DATABASE"] = sqlite_database
        settings.TASKS = {**settings.TASKS}
        yield sqlite_database


def _options(settings: Any) -> Any:
    return settings.TASKS["default"]["OPTIONS"]


def declare(settings: Any, **schedules: Any) -> None:
    default = settings.TASKS["default"]
    options = {**default["OPTIONS"], "SCHEDULES": schedules}
    settings.TASKS = {**settings.TASKS, "default": {**default, "OPTIONS": options}}


def alerts() -> list[Alert]:
    return [alert for store in overview() for alert in store.alerts]


def make_due(database: str, name: str, ago: timedelta) -> None:
    at = datetime.now(UTC) - ago
    ScheduleRow.objects.using(database).filter(name=name).update(next_slot=at, next_at=at)


def test_a_schedule_that_nobody_fires_is_told(kept: str) -> None:
    for name in ("daily", "other", "off"):
        people.create(name, chores.add.module_path, CronSchedule("0 3 * * *"), args=[1], enabled=name != "off")
    assert alerts() == []
    make_due(kept, "daily", timedelta(seconds=30))
    assert alerts() == []
    make_due(kept, "daily", timedelta(hours=2, minutes=1))
    (alert,) = alerts()
    assert (alert.code, alert.backend, alert.queue) == ("no_scheduler", "default", "")
    assert alert.message == "1 schedule is due, 'daily' for 2 hours, and nobody fires it."
    assert "`manage.py runscheduler`" in alert.hint
    make_due(kept, "other", timedelta(minutes=2))
    (alert,) = alerts()
    assert alert.message == "2 schedules are due, 'daily' for 2 hours, and nobody fires them."
    Scheduler().run_once()
    assert "no_scheduler" not in [alert.code for alert in alerts()]


def test_what_no_scheduler_ever_took_over_is_told(kept: str, settings: Any) -> None:
    declare(settings, daily=DAILY, off={**DAILY, "enabled": False})
    (alert,) = alerts()
    assert (alert.code, alert.message) == ("no_scheduler", NOT_TAKEN_OVER)
    declare(settings, **{f"s{number}": DAILY for number in range(5)})
    (alert,) = alerts()
    assert alert.message == ("5 schedules are declared, and no scheduler has taken them over: 's0', 's1', 's2', ….")
    Scheduler().synchronise()
    assert alerts() == []


def test_what_is_declared_again_and_not_taken_over_again_is_told(kept: str, settings: Any) -> None:
    declare(settings, daily=DAILY)
    Scheduler().synchronise()
    declare(settings)
    Scheduler().synchronise()
    declare(settings, daily=DAILY)
    assert [alert.message for alert in alerts()] == [NOT_TAKEN_OVER]


def test_another_backend_that_cannot_be_made_hides_nothing(kept: str, settings: Any) -> None:
    people.create("daily", chores.add.module_path, CronSchedule("0 3 * * *"), args=[1])
    make_due(kept, "daily", timedelta(hours=2))
    settings.TASKS = {**settings.TASKS, "broken": {"BACKEND": "nowhere.Backend"}}
    assert [alert.code for alert in alerts()] == ["no_scheduler"]
    declare(settings, weekly=DAILY)
    assert [alert.message.partition(":")[2] for alert in alerts()] == ["", " 'weekly'."]


def test_a_schedule_that_its_own_error_has_switched_off_is_told_until_somebody_sees_to_it(kept: str) -> None:
    for name in ("daily", "other"):
        people.create(name, chores.add.module_path, CronSchedule("0 3 * * *"), args=[1])
    ScheduleRow.objects.using(kept).update(task="gone.tasks.add")
    make_due(kept, "daily", timedelta(minutes=2))
    Scheduler().run_once()
    assert people.view_of(people.find("daily"), people.now(), 1).state == "broken"
    (alert,) = alerts()
    assert (alert.code, alert.backend) == ("broken_schedule", "default")
    assert alert.message == "1 schedule was switched off by an error: 'daily'."
    make_due(kept, "other", timedelta(minutes=2))
    Scheduler().run_once()
    (alert,) = alerts()
    assert alert.message.startswith("2 schedules were switched off by an error: ")
    people.switch("daily", False)
    row = people.find("daily")
    assert people.view_of(row, people.now(), 1).state == "off" and "gone.tasks.add" in str(row.last_error)
    people.edit("other", task=chores.add.module_path, enabled=True)
    assert alerts() == []


def test_status_tells_of_it(kept: str, settings: Any) -> None:
    declare(settings, daily=DAILY)
    code, out, _ = told("status")
    assert code == 0 and f"! {NOT_TAKEN_OVER} Start a scheduler" in out
    (alert,) = data("status")["backends"][0]["alerts"]
    assert alert["code"] == "no_scheduler"


@pytest.mark.django_db
def test_status_tells_of_it_where_the_default_keeps_no_tasks(settings: Any) -> None:
    dummy = {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "OPTIONS": {"SCHEDULES": {"daily": DAILY}}}
    settings.TASKS = {"default": dummy}
    assert NOT_TAKEN_OVER in told("status")[1]


def test_a_few_statements_tell_it_however_many_there_are(kept: str, settings: Any) -> None:
    declare(settings, **{f"s{number}": DAILY for number in range(300)})
    Scheduler().synchronise()
    past = datetime.now(UTC) - timedelta(hours=1)
    ScheduleRow.objects.using(kept).update(next_slot=past, next_at=past)
    with CaptureQueriesContext(connections[kept]) as captured:
        (alert,) = alerts()
    assert alert.message.startswith("100+ schedules are due")
    table = ScheduleRow._meta.db_table
    assert sum(table in query["sql"] for query in captured.captured_queries) == 3


@pytest.mark.parametrize("declares", [True, False])
def test_tables_that_are_not_there_are_told_of_where_schedules_are_declared(
    redis_store: Store, settings: Any, django_db_blocker: Any, tmp_path: Path, declares: bool
) -> None:
    _options(settings)["DATABASE"] = "bare"
    declare(settings, **({"daily": DAILY} if declares else {}))
    with databases.known("bare", sqlite(tmp_path / "bare.sqlite3")), django_db_blocker.unblock():
        found = alerts()
    assert [alert.code for alert in found] == ["no_scheduler"] * declares
    assert not declares or "migrate --database bare" in found[0].message


def test_tables_that_are_not_there_harm_no_transaction_of_the_caller(
    redis_store: Store, settings: Any, postgres_database: str
) -> None:
    _options(settings)["DATABASE"] = "bare"
    declare(settings, daily=DAILY)
    given = connections[postgres_database].settings_dict
    bare = {**given, "OPTIONS": {**given["OPTIONS"], "options": "-c search_path=nowhere"}}
    with databases.known("bare", bare), transaction.atomic(using="bare"):
        assert [alert.code for alert in alerts()] == ["no_scheduler"]
        connections["bare"].cursor().execute("SELECT 1")


@pytest.mark.parametrize("declares", [True, False])
def test_a_database_that_is_away_is_told_of_where_schedules_are_declared(
    redis_store: Store, settings: Any, django_db_blocker: Any, declares: bool
) -> None:
    port = ReservedPort()
    away = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": str(port.number)}
    _options(settings)["DATABASE"] = "gone"
    declare(settings, **({"daily": DAILY} if declares else {}))
    try:
        with databases.known("gone", away), django_db_blocker.unblock():
            found = alerts()
    finally:
        port.release()
    assert [alert.code for alert in found] == ["no_scheduler"] * declares
    assert not declares or "The schedules in the database 'gone' cannot be read" in found[0].message


def test_a_store_that_is_away_is_told_of_once(settings: Any, django_db_blocker: Any, tmp_path: Path) -> None:
    backend = "reinhardt_tasks.backends.DatabaseBackend"
    settings.TASKS = {"default": {"BACKEND": backend, "OPTIONS": {"DATABASE": "bare", "SCHEDULES": {"daily": DAILY}}}}
    with databases.known("bare", sqlite(tmp_path / "bare.sqlite3")), django_db_blocker.unblock():
        assert [alert.code for alert in alerts()] == ["store_away"]
