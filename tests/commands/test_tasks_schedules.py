"""`manage.py tasks schedules`: seen, switched, run now, made, changed and deleted."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from reinhardt_tasks._compat import BaseTaskBackend
from reinhardt_tasks.exceptions import QueueError, TaskNotFound
from reinhardt_tasks.management.commands.tasks import SUBCOMMANDS
from reinhardt_tasks.models import ScheduleRow, SlotRow
from reinhardt_tasks.operations import Query, Store
from reinhardt_tasks.operations.schedules import SCHEDULE_ACTIONS
from reinhardt_tasks.schedules import CronSchedule, IntervalSchedule
from reinhardt_tasks.scheduling import Scheduler, people
from reinhardt_tasks.scheduling.databases import schedules_database
from tests.operations import chores
from tests.operations.stores import database_store, fail
from tests.servers.ports import ReservedPort

from .telling import data, told

__all__ = ["database_store"]

pytestmark = pytest.mark.usefixtures("nightly")


@pytest.fixture
def nightly(database_store: Store) -> ScheduleRow:
    schedule = CronSchedule("0 3 * * *", tz="Europe/Berlin")
    return people.create("nightly", chores.log_in.module_path, schedule, args=["ada", "geheim-123"])


def row(name: str = "nightly") -> ScheduleRow:
    return ScheduleRow.objects.using(schedules_database()).get(name=name)


def keep_nothing(settings: Any, backend: str) -> None:
    """Have the schedule's tasks enqueued by a backend that keeps none, or is somebody else's."""
    settings.TASKS = {**settings.TASKS, "now": {"BACKEND": backend, "QUEUES": []}}
    ScheduleRow.objects.using(schedules_database()).update(alias="now")


def test_schedules_are_listed_page_by_page_in_words() -> None:
    people.create("often", chores.add.module_path, IntervalSchedule(timedelta(minutes=5)), args=[1], enabled=False)
    code, out, _ = told("schedules", "list", "--next", "2")
    assert code == 0 and "at 03:00 every day, Europe/Berlin time" in out and "often" in out and "off" in out
    first = data("schedules", "list", "--limit", "1", "--next", "3")
    assert [each["name"] for each in first["schedules"]] == ["nightly"] and len(first["schedules"][0]["next"]) == 3
    second = data("schedules", "list", "--after", first["after"])
    assert [each["name"] for each in second["schedules"]] == ["often"] and second["after"] is None


def test_one_is_shown_with_its_next_times_and_without_its_secrets() -> None:
    code, out, _ = told("schedules", "show", "nightly")
    assert code == 0 and out.count(":00:00 ") == 10 and "[redacted]" in out
    assert re.search(r"^expression +0 3 \* \* \* \(Europe/Berlin\)$", out, re.MULTILINE)
    shown = data("schedules", "show", "nightly", "--next", "2")
    assert shown["args"] == ["ada", "[redacted]"] and len(shown["next"]) == 2 and shown["state"] == "on"
    assert "geheim" not in out + str(shown)


def test_a_schedule_that_is_no_cron_expression_has_none_to_show() -> None:
    people.create("often", chores.add.module_path, IntervalSchedule(timedelta(minutes=5)), args=[1])
    assert "expression" not in told("schedules", "show", "often")[1]


def test_a_priority_is_shown_on_both_scales() -> None:
    people.create("urgent", chores.add.module_path, IntervalSchedule(timedelta(minutes=5)), args=[1], priority=100)
    assert re.search(r"^priority +100 \(9 of 9\)$", told("schedules", "show", "urgent")[1], re.MULTILINE)
    assert not re.search(r"^priority", told("schedules", "show", "nightly")[1], re.MULTILINE)


def test_one_is_switched_and_run_now(database_store: Store) -> None:
    assert told("schedules", "off", "nightly")[0] == 0 and not row().enabled
    assert told("schedules", "on", "nightly")[0] == 0 and row().enabled
    answer = data("schedules", "run-now", "nightly")
    (job,) = database_store.broker.find(Query())
    assert answer["tasks"] == {"nightly": job.id} and job.name == chores.log_in.module_path


def test_what_there_is_not_is_told_and_the_others_are_done() -> None:
    answer = data("schedules", "off", "nihgtly", "nightly", code=1)
    assert answer["took"] == ["nightly"] and "nightly" in answer["left"]["nihgtly"]
    assert told("schedules", "show", "nihgtly")[0] == 1


def test_the_last_runs_are_shown_and_what_became_of_them(database_store: Store) -> None:
    assert "It has not run yet." in told("schedules", "show", "nightly")[1]
    first = data("schedules", "run-now", "nightly")["tasks"]["nightly"]
    assert fail(database_store, "emails") == first
    second = data("schedules", "run-now", "nightly")["tasks"]["nightly"]
    gone = data("schedules", "run-now", "nightly")["tasks"]["nightly"]
    database_store.broker.delete([gone])
    shown = data("schedules", "show", "nightly")
    assert shown["away"] == {}
    assert [(run["id"], run["status"], run["sent"], run["by_hand"]) for run in shown["runs"]] == [
        (gone, None, "SENT", True),
        (second, "PENDING", "SENT", True),
        (first, "FAILURE", "SENT", True),
    ]
    assert (shown["runs"][2]["exception"], shown["runs"][2]["backend"]) == ("builtins.ValueError", "default")
    code, out, _ = told("schedules", "show", "nightly", "--last", "2")
    assert code == 0 and first not in out
    assert re.search(rf"^\S+ \S+ UTC +PENDING +{second} +by hand$", out, re.MULTILINE)
    assert re.search(rf"^\S+ \S+ UTC +Sent +{gone} +by hand$", out, re.MULTILINE)


def test_a_schedule_whose_runs_are_kept_no_more_has_run_all_the_same() -> None:
    ScheduleRow.objects.using(schedules_database()).update(fired=12, last_slot=timezone.now() - timedelta(days=20))
    out = told("schedules", "show", "nightly")[1]
    assert "No run of the last seven days." in out and "It has not run yet." not in out


def test_a_run_by_hand_on_a_backend_that_keeps_no_tasks_has_the_id_that_was_told(settings: Any) -> None:
    keep_nothing(settings, "reinhardt_tasks.backends.ImmediateBackend")
    id_ = data("schedules", "run-now", "nightly")["tasks"]["nightly"]
    (run,) = data("schedules", "show", "nightly")["runs"]
    assert (run["id"], run["by_hand"], run["backend"]) == (id_, True, "now")
    assert re.search(rf"^\S+ \S+ UTC +Sent +{id_} +by hand$", told("schedules", "show", "nightly")[1], re.MULTILINE)


def test_a_run_on_a_backend_with_other_ids_is_shown_without_one(settings: Any) -> None:
    keep_nothing(settings, f"{BaseTaskBackend.__module__.rpartition('.')[0]}.dummy.DummyBackend")
    data("schedules", "run-now", "nightly")
    (run,) = data("schedules", "show", "nightly")["runs"]
    assert (run["id"], run["by_hand"], run["backend"]) == (None, True, "now")
    out = told("schedules", "show", "nightly")[1]
    assert re.search(r"^\S+ \S+ UTC +Sent +by hand$", out, re.MULTILINE)


def test_what_is_declared_is_seen_before_a_scheduler_takes_it_over(settings: Any) -> None:
    default = settings.TASKS["default"]
    weekly = {"task": chores.add.module_path, "schedule": "0 4 * * mon", "args": [1]}
    options = {**default["OPTIONS"], "SCHEDULES": {"weekly": weekly}}
    settings.TASKS = {"default": {**default, "OPTIONS": options}}
    _, out, _ = told("schedules", "list")
    assert re.search(r"^weekly +declared +at 04:00 on Monday.* runscheduler does that at its start$", out, re.MULTILINE)
    first = data("schedules", "list", "--limit", "1")
    assert first["not_taken_over"] == ["weekly"] and [each["name"] for each in first["schedules"]] == ["nightly"]
    assert data("schedules", "list", "--after", first["after"])["not_taken_over"] == []
    for verb in ("show", "run-now", "off"):
        code, _, err = told("schedules", verb, "weekly")
        assert code == 1 and "'weekly' is declared, and no scheduler has taken it over yet" in err
    assert "did you mean 'weekly'?" in told("schedules", "run-now", "wekly")[2]
    told("schedules", "delete", "nightly", "--yes")
    assert "There are no schedules" not in told("schedules", "list")[1]
    Scheduler().synchronise()
    assert data("schedules", "list")["not_taken_over"] == [] and told("schedules", "run-now", "weekly")[0] == 0


def test_deleting_asks_first() -> None:
    code, _, err = told("schedules", "delete", "nightly")
    assert code == 2 and "--yes" in err and row().name == "nightly"
    assert told("schedules", "delete", "nightly", "--yes")[0] == 0
    assert data("schedules", "list")["schedules"] == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--cron", "0 17 * * mon", "--tz", "Asia/Tokyo"], "at 17:00 on Monday, Asia/Tokyo time"),
        (["--cron", "*/10 * * * * *", "--seconds"], "every 10 seconds"),
        (["--every", "15m"], "every 15 minutes"),
        (["--once", "2031-01-31T08:00"], "2031-01-31"),
    ],
)
def test_one_is_made_of_flags(flags: list[str], words: str) -> None:
    made = data(
        "schedules",
        "add",
        "new",
        "--task",
        chores.add.module_path,
        "--args",
        "[1]",
        "--queue",
        "reports",
        "--off",
        *flags,
    )
    assert words in made["words"] and made["state"] == "off"
    assert (row("new").task, row("new").args, row("new").queue) == (chores.add.module_path, "[1]", "reports")


def test_one_is_edited_and_what_is_not_said_stays() -> None:
    code, out, _ = told("schedules", "edit", "nightly", "--every", "1h", "--overlap", "skip", "--jitter", "90s")
    assert code == 0 and "every hour" in out
    assert (row().overlap, row().jitter, row().args) == ("skip", 90.0, '["ada", "geheim-123"]')
    assert told("schedules", "edit", "nightly", "--args", '["eve", "[redacted]"]')[0] == 0
    assert row().args == '["eve", "geheim-123"]'
    code, _, err = told("schedules", "edit", "nightly", "--task", "log_in_by_token", "--args", '["eve", "[redacted]"]')
    assert code == 2 and "Argument 2 by position is [redacted]" in err
    code, _, err = told("schedules", "edit", "nightly", "--task", chores.greet.module_path)
    assert code == 2 and "does not redact all that tests.operations.chores.log_in does" in err
    assert row().args == '["eve", "geheim-123"]'


def test_what_was_said_can_be_read_back_and_taken_back_by_none(database_store: Store) -> None:
    said = ["--to-backend", "default", "--queue", "reports", "--priority", "40", "--catch-up", "skip"]
    times = ["--start", "2031-01-31T08:00", "--end", "2032-01-31T08:00", "--jitter", "90s", "--overlap", "queue"]
    told("schedules", "edit", "nightly", *said, *times)
    names = ("backend", "queue", "priority", "start", "end")
    shown = data("schedules", "show", "nightly")
    assert [shown[name] for name in (*names, "catch_up", "overlap", "jitter", "zone")] == [
        "default",
        "reports",
        40,
        "2031-01-31T08:00:00+00:00",
        "2032-01-31T08:00:00+00:00",
        "skip",
        "queue",
        90.0,
        "Europe/Berlin",
    ]
    out = told("schedules", "show", "nightly")[1]
    for words in ("starts at  +2031-01-31", "ends at  +2032-01-31", "put off by up to  +1 min 30 s"):
        assert re.search(f"^{words}", out, re.MULTILINE)
    flags = [word for name in ("to-backend", "queue", "priority", "start", "end") for word in (f"--{name}", "none")]
    edited = data("schedules", "edit", "nightly", *flags)
    assert [edited[name] for name in names] == [None] * 5
    assert (row().alias, row().queue, row().priority, row().start_at, row().end_at) == (None,) * 5


def test_a_queue_that_is_called_none_is_meant_by_its_name(database_store: Store, settings: Any) -> None:
    default = settings.TASKS["default"]
    settings.TASKS = {"default": {**default, "QUEUES": [*default["QUEUES"], "none"]}}
    assert data("schedules", "edit", "nightly", "--queue", "none")["queue"] == "none"


def test_a_value_that_is_neither_is_named() -> None:
    err = told("schedules", "edit", "nightly", "--priority", "high")[2]
    assert "invalid int value: 'high'" in err
    assert "must be a moment" in told("schedules", "edit", "nightly", "--start", "nine")[2]


def test_how_often_it_ran_and_how_its_last_run_is_are_told(database_store: Store) -> None:
    assert data("schedules", "list")["schedules"][0]["last_status"] is None
    past = datetime.now(UTC) - timedelta(minutes=2)
    ScheduleRow.objects.using(schedules_database()).update(next_slot=past, next_at=past, missed=3, skipped=2)
    (firing,) = Scheduler().run_once().fired
    assert data("schedules", "list")["schedules"][0]["last_status"] == "PENDING"
    assert re.search(r"^nightly .* PENDING 2 min ", told("schedules", "list")[1], re.MULTILINE)
    out = told("schedules", "show", "nightly")[1]
    assert re.search(r"^runs +1, 3 missed, 2 left out$", out, re.MULTILINE)
    assert re.search(rf"^\S+ \S+ UTC +PENDING +{firing.job.id}$", out, re.MULTILINE)


def test_times_are_on_the_schedules_own_clock_and_its_changes_are_marked() -> None:
    out = told("schedules", "show", "nightly", "--next", "250")[1]
    times = re.findall(r"^\S+ 03:00:00 (CEST|CET)(  after a change of the clock)?$", out, re.MULTILINE)
    assert len(times) == 250
    changes = sum(one[0] != other[0] for one, other in pairwise(times))
    assert changes == sum(bool(mark) for _zone, mark in times) >= 1


def test_all_times_of_a_row_are_of_one_clock() -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    ScheduleRow.objects.using(schedules_database()).update(next_slot=past, next_at=past)
    with timezone.override("Asia/Tokyo"):
        out = told("schedules", "list")[1]
    assert re.search(r"LATE: \d slots? since \S+ \S+ JST", out)


def test_a_store_that_is_away_hides_no_schedule(database_store: Store, settings: Any) -> None:
    port = ReservedPort()
    away = {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": {"URL": f"redis://127.0.0.1:{port.number}"}}
    settings.TASKS = {**settings.TASKS, "away": away}
    sent = uuid.uuid4()
    ScheduleRow.objects.using(schedules_database()).update(last_task=sent, last_alias="away")
    SlotRow.objects.using(schedules_database()).create(
        id=sent, schedule=row(), due_at=datetime.now(UTC), state=SlotRow.SENT, alias="away"
    )
    try:
        for words in (["list"], ["show", "nightly"]):
            code, out, err = told("schedules", *words)
            assert code == 3 and "nightly" in out and "away is away" in err
            assert list(data("schedules", *words, code=3)["away"]) == ["away"]
    finally:
        port.release()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["add", "new", "--every", "1h"], "--task"),
        (["add", "new", "--task", chores.add.module_path], "--cron"),
        (
            ["add", "new", "--task", chores.add.module_path, "--every", "1h", "--cron", "* * * * *"],
            "at an interval, or once",
        ),
        (["add", "new", "--task", chores.add.module_path, "--every", "1h", "--tz", "Asia/Tokyo"], "time zone"),
        (["add", "new", "--task", chores.add.module_path, "--cron", "61 * * * *"], "minute"),
        (["add", "new", "--task", chores.add.module_path, "--cron", "0 0 3 * * *"], "by --seconds"),
        (["edit", "nightly", "--cron", "0 0 3 * * *"], "by --seconds"),
        (["edit", "nightly", "--every", "1h", "--seconds"], "belongs to a cron expression"),
        (["add", "new", "--task", chores.add.module_path, "--once", "2020-01-31T08:00"], "--once 2020-01-31 08:00"),
        (["edit", "nightly", "--once", "2020-01-31T08:00"], "is over: it would never run"),
        (["edit", "nightly", "--seconds"], "Say when it is to run"),
        (["add", "nightly", "--task", chores.add.module_path, "--args", "[1]", "--every", "1h"], "already"),
        (["edit", "nightly"], "what is to be changed"),
    ],
)
def test_what_cannot_be_is_refused_with_2(words: list[str], sentence: str) -> None:
    code, _, err = told("schedules", *words)
    assert code == 2 and sentence in err


def test_what_was_enqueued_is_told_where_the_next_one_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    people.create("weekly", chores.add.module_path, CronSchedule("0 3 * * mon"), args=[1])
    action = SCHEDULE_ACTIONS["run-now"]

    def does(problem: Exception) -> Callable[[str], str | None]:
        def work(name: str) -> str | None:
            if name == "weekly":
                raise problem
            return action.does(name)

        return work

    for problem, code in ((TaskNotFound("No task is registered."), 1), (QueueError("Nobody answers."), 3)):
        member = SUBCOMMANDS["schedules"].members["run-now"]  # type: ignore[attr-defined]
        monkeypatch.setattr(member, "action", replace(action, does=does(problem)))
        answer = data("schedules", "run-now", "nightly", "weekly", code=code)
        assert answer["took"] == list(answer["tasks"]) == ["nightly"]
        assert answer["left"] == ({"weekly": "No task is registered."} if code == 1 else {})
