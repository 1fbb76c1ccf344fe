"""`runscheduler`, `taskschedules` and `runworker --with-scheduler` in processes of their own: what they print, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from reinhardt_tasks._compat import InvalidTaskBackend, task_backends
from reinhardt_tasks.management.commands import runscheduler
from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.schedules import CronSchedule, IntervalSchedule
from reinhardt_tasks.scheduling import Scheduler, create, edit
from tests.databases import emptied, environment_for_processes
from tests.servers import wait_until
from tests.servers.ports import ReservedPort
from tests.worker.processes import ROOT, SOON, SchedulerProcess, WorkerProcess, tasks_on

from .simulated import TASK, jobs, slots_of_jobs

EVERY_SECOND = {"task": TASK, "schedule": 1, "args": ["/dev/null", "x"], "catch_up": "all"}
YEARLY = {"task": TASK, "schedule": "0 0 1 1 *", "args": ["/dev/null", "x"]}


@pytest.fixture
def database(sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[str]:
    with django_db_blocker.unblock():
        emptied(sqlite_database)
        settings.TASKS = tasks_on(sqlite_database)
        broker = task_backends["default"].broker
        yield sqlite_database
        broker.close()


def asked(
    command: str, *flags: str, tasks: dict[str, Any], to: int = subprocess.PIPE, **environment: str
) -> tuple[int, str, str]:
    """Run a command to its end; return its exit code and what it printed, where it does not print to a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "django", command, "--no-color", *flags],
        cwd=ROOT,
        env={
            **environment_for_processes(),
            "DJANGO_SETTINGS_MODULE": "tests.worker.process_settings",
            "REINHARDT_TEST_TASKS": json.dumps(tasks),
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        stdout=to,
        stderr=to,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def listed(*flags: str) -> tuple[int, str, str]:
    """Run `taskschedules` here; return its exit code and what it printed."""
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("taskschedules", "--no-color", *flags, stdout=out, stderr=err)
    except SystemExit as end:
        code = int(str(end.code))
    return code, out.getvalue(), err.getvalue()


def row(database: str, name: str) -> Any:
    return ScheduleRow.objects.using(database).get(name=name)


def test_it_fires_and_tells_each_and_stops_on_a_signal(database: str) -> None:
    tasks = tasks_on(database, SCHEDULES={"often": EVERY_SECOND, "yearly": YEARLY})
    with SchedulerProcess("--name", "clockwork", tasks=tasks) as scheduler:
        scheduler.ready()
        wait_until(lambda: scheduler.stdout.count("  tests.tasks.note  id=") >= 3, "three are fired", timeout=SOON)
        scheduler.terminate()
        assert scheduler.ended() == 0, scheduler.stderr
        printed = scheduler.stdout
    assert re.search(r"^reinhardt_tasks \S+, scheduler 'clockwork' on \S+, process \d+$", printed, re.M)
    assert re.search(r"^  schedules    2$", printed, re.M)
    assert re.search(r"^    yearly  at 00:00 on day 1 of the month in January, UTC time; \d{4}-01-01", printed, re.M)
    fired = re.findall(r"^often  (\S+ \S+) UTC  tests.tasks.note  id=(\S+)$", printed, re.M)
    assert {job.id for job in jobs()} == {id_ for _, id_ in fired}
    assert "Stopped after" in printed


def test_a_second_signal_ends_it_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(runscheduler.os, "_exit", codes.append)
    before = signal.getsignal(signal.SIGTERM)
    scheduler = Scheduler(database)
    with runscheduler._signals_handled(scheduler):
        os.kill(os.getpid(), signal.SIGTERM)
        assert (scheduler.is_stopping, codes) == (True, [])
        os.kill(os.getpid(), signal.SIGINT)
        assert codes == [1]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_people_change_is_seen_by_a_scheduler_that_sleeps(database: str) -> None:
    with SchedulerProcess(tasks=tasks_on(database)) as scheduler:
        scheduler.ready()
        create("mine", TASK, CronSchedule("0 0 1 1 *"), args=("/dev/null", "x"), database=database)
        edit("mine", schedule=IntervalSchedule(1), database=database)
        wait_until(lambda: "mine  " in scheduler.stdout, "it is fired", timeout=SOON)
        scheduler.terminate()
        assert scheduler.ended() == 0


def test_once_fires_what_is_due_and_leaves(database: str) -> None:
    tasks = tasks_on(database, SCHEDULES={"often": EVERY_SECOND})
    assert asked("runscheduler", "--once", tasks=tasks)[0] == 0
    since = row(database, "often").since_at
    wait_until(lambda: datetime.now(UTC) > since + timedelta(seconds=2), "two slots pass", timeout=SOON)
    code, out, err = asked("runscheduler", "--once", "--max-catchup", "1", tasks=tasks)
    assert (code, out.count("id=")) == (0, 1), err
    code, out, err = asked("runscheduler", "--once", tasks=tasks)
    assert (code, out.count("id=")) == (0, len(jobs()) - 1), err
    assert set(slots_of_jobs().values()) == {1}


@pytest.mark.parametrize(("is_terminal", "lines"), [(True, 1), (False, 2)])
def test_a_terminal_shows_each_task_once_and_the_log_has_it(database: str, is_terminal: bool, lines: int) -> None:
    tasks = tasks_on(database, SCHEDULES={"often": EVERY_SECOND})
    assert asked("runscheduler", "--once", tasks=tasks)[0] == 0
    since = row(database, "often").since_at
    wait_until(lambda: datetime.now(UTC) > since + timedelta(seconds=2), "a slot passes", timeout=SOON)
    printed = _at_terminal(tasks) if is_terminal else "".join(asked("runscheduler", "--once", tasks=tasks)[1:])
    for job in jobs():
        assert printed.count(f"id={job.id}") == lines, printed


def _at_terminal(tasks: dict[str, Any]) -> str:
    """Run `runscheduler --once` at a terminal; return what that shows."""
    ours, its = pty.openpty()
    try:
        asked("runscheduler", "--once", tasks=tasks, to=its)
        return os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(its)


def test_once_tells_by_its_code_that_something_cannot_be_fired(database: str) -> None:
    create("mine", TASK, IntervalSchedule(1), args=("/dev/null", "x"), database=database)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    ScheduleRow.objects.using(database).update(task="tests.tasks.gone", next_slot=past, next_at=past)
    code, _, err = asked("runscheduler", "--once", tasks=tasks_on(database))
    assert code == 1
    assert "Schedule mine: TaskNotFound: No task is registered as 'tests.tasks.gone'" in err
    assert not row(database, "mine").enabled


def test_a_dry_run_prints_and_writes_nothing(database: str) -> None:
    create("mine", TASK, CronSchedule("0 3 * * *", "Asia/Tokyo"), args=("/dev/null", "x"), database=database)
    before = ScheduleRow.objects.using(database).values().get()
    tasks = tasks_on(database, SCHEDULES={"yearly": YEARLY})
    code, out, err = asked("runscheduler", "--dry-run", tasks=tasks)
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == 10 and lines == sorted(lines)
    assert len(re.findall(r"18:00:00 UTC  mine  \(at 03:00 every day, Asia/Tokyo time\)", out)) == 5
    assert len(re.findall(r"01-01 00:00:00 UTC  yearly", out)) == 5
    assert ScheduleRow.objects.using(database).values().get() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--once", "--dry-run"], "use one of them"),
        (["--max-catchup", "0"], "must be 1 or more"),
    ],
)
def test_a_usage_that_cannot_be(database: str, flags: list[str], words: str) -> None:
    code, _, err = asked("runscheduler", *flags, tasks=tasks_on(database))
    assert code == 2
    assert words in err


@pytest.mark.parametrize("command", ["runscheduler", "taskschedules"])
def test_a_database_that_is_not_there_has_a_code_of_its_own(command: str) -> None:
    port = ReservedPort()
    try:
        server = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": str(port.number)}
        code, _, err = asked(
            command, tasks=tasks_on("default"), REINHARDT_TEST_DATABASES=json.dumps({"default": server})
        )
    finally:
        port.release()
    assert code == 3, err
    assert "'default' cannot be reached" in err


def test_the_list_is_well_or_not(database: str) -> None:
    create("mine", TASK, CronSchedule("0 3 * * *"), args=("/dev/null", "x"), database=database)
    code, out, _ = listed("--next", "2")
    assert code == 0
    assert re.search(r"^mine  at 03:00 every day, UTC time  \S+ 03:00:00 UTC, \S+ 03:00:00 UTC$", out, re.M)
    assert "1 schedule, 0 late, 0 broken." in out

    long_ago = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0) - timedelta(days=2)
    ScheduleRow.objects.using(database).update(next_slot=long_ago, next_at=long_ago, since_at=long_ago)
    code, out, _ = listed()
    assert code == 1
    assert re.search(rf"^mine .*LATE: \d slots since {long_ago:%Y-%m-%d} 03:00:00 UTC$", out, re.M)
    assert "1 schedule, 1 late, 0 broken." in out

    now = datetime.now(UTC)
    ScheduleRow.objects.using(database).update(
        enabled=False, next_slot=None, next_at=None, failed_at=now, last_error="TaskNotFound: it is gone"
    )
    code, out, _ = listed("--json")
    told = json.loads(out)
    assert (code, told["well"], told["late"], told["broken"]) == (1, False, 0, 1)
    (schedule,) = told["schedules"]
    assert (schedule["state"], schedule["error"]) == ("broken", "TaskNotFound: it is gone")
    assert schedule["schedule"]["expression"] == "0 3 * * *"


def test_the_list_names_what_no_scheduler_has_taken_over_and_what_is_declared_badly(
    database: str, settings: Any
) -> None:
    settings.TASKS = tasks_on(database, SCHEDULES={"yearly": YEARLY, "bad": {**YEARLY, "schedule": "x"}})
    code, out, err = listed()
    assert code == 1
    assert "yearly  declared, and not taken over yet" in out
    assert "['SCHEDULES']['bad']" in err


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"BACKEND": "nowhere.Backend"}, "TASKS['other']: Could not find backend 'nowhere.Backend'"),
        ({"OPTIONS": {}}, "TASKS['other'] must be a dictionary whose 'BACKEND' is the path of a class."),
        ("nowhere.Backend", "TASKS['other'] must be a dictionary whose 'BACKEND' is the path of a class."),
    ],
)
def test_an_alias_without_a_backend_is_told_and_hides_nothing_of_the_others(
    database: str, settings: Any, broken: Any, words: str
) -> None:
    settings.TASKS = {**tasks_on(database, SCHEDULES={"yearly": YEARLY}), "other": broken}
    code, out, err = listed()
    assert code == 1 and "yearly  declared, and not taken over yet" in out and words in err
    told = json.loads(listed("--json")[1])
    assert told["not_taken_over"] == ["yearly"] and [words in problem for problem in told["problems"]] == [True]


def test_a_scheduler_does_not_start_and_retire_what_an_alias_without_a_backend_declares(
    database: str, settings: Any
) -> None:
    tasks = tasks_on(database)
    other = {**tasks["default"], "OPTIONS": {**tasks["default"]["OPTIONS"], "SCHEDULES": {"yearly": YEARLY}}}
    settings.TASKS = {**tasks, "other": other}
    Scheduler(database).synchronise()
    settings.TASKS = {**tasks, "other": {**other, "BACKEND": "nowhere.Backend"}}
    with pytest.raises(InvalidTaskBackend):
        Scheduler(database).synchronise()
    assert row(database, "yearly").retired_at is None


def test_what_no_scheduler_has_taken_over_is_not_well_but_where_it_is_off(database: str, settings: Any) -> None:
    settings.TASKS = tasks_on(database, SCHEDULES={"yearly": {**YEARLY, "enabled": False}})
    code, out, _ = listed("--json")
    assert (code, json.loads(out)["well"], json.loads(out)["not_taken_over"]) == (0, True, ["yearly"])
    settings.TASKS = tasks_on(database, SCHEDULES={"yearly": YEARLY})
    code, out, _ = listed("--json")
    assert (code, json.loads(out)["well"], json.loads(out)["not_taken_over"]) == (1, False, ["yearly"])
    Scheduler(database).synchronise()
    assert listed()[0] == 0


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_worker_may_have_a_scheduler_beside_it(database: str, tmp_path: Path, processes: str) -> None:
    lines = tmp_path / "lines"
    often = {**EVERY_SECOND, "args": [str(lines), "tick"]}
    tasks = tasks_on(database, SCHEDULES={"often": often})
    with WorkerProcess("--with-scheduler", "--processes", processes, tasks=tasks) as worker:
        worker.ready()
        wait_until(lambda: lines.exists() and len(lines.read_text().split()) >= 3, "three have run", timeout=SOON)
        worker.terminate()
        assert worker.ended() == 0, worker.stderr
    assert set(slots_of_jobs().values()) == {1}


def test_a_worker_without_it_fires_nothing(database: str) -> None:
    tasks = tasks_on(database, SCHEDULES={"often": EVERY_SECOND})
    with WorkerProcess("--burst", tasks=tasks) as worker:
        assert worker.ended() == 0
    assert ScheduleRow.objects.using(database).count() == 0
