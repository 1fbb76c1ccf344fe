"""`manage.py runworker` in processes of its own: what it prints, how it ends, and what it takes for flags."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.management.commands.runworker import Command
from tests import tasks
from tests.servers import wait_until
from tests.servers.ports import ReservedPort
from tests.worker.processes import SOON, WorkerProcess, tasks_on
from tests.worker.supervised.running import read

BURST = ("--burst", "--shutdown-timeout", "60")


@pytest.fixture
def setting(setting: dict[str, Any], settings: Any) -> dict[str, Any]:
    """The shared one, with two queues by name."""
    settings.TASKS = {"default": {**setting["default"], "QUEUES": ["default", "emails"]}}
    return settings.TASKS


def written(path: Path, *expected: str) -> None:
    wait_until(lambda: read(path) == list(expected), f"{path.name} has {expected}", timeout=SOON)


# Running, and leaving


def test_burst_runs_what_is_ready_and_leaves(setting: dict[str, Any], lines: Path) -> None:
    result = tasks.note.enqueue(str(lines), "one")
    later = tasks.note_later.enqueue(str(lines), "two")
    failing = tasks.fail.enqueue("no such thing")
    with WorkerProcess(*BURST, tasks=setting) as worker:
        assert worker.ended() == 0, worker.stderr
        printed, logged = worker.stdout, worker.stderr
    assert sorted(read(lines)) == ["one", "two"]
    for each in (result, later, failing):
        each.refresh()
    assert (result.return_value, later.return_value) == ("one", "two")
    assert failing.state is TaskStatus.FAILURE
    assert "Stopped: 2 succeeded, 1 failed, 0 cancelled, 0 to be tried again." in printed
    assert f"id={result.id} path=tests.tasks.note succeeded" in logged
    assert f"id={failing.id}" in logged
    assert "ValueError: no such thing" in logged


def test_the_banner_tells_what_runs_where(setting: dict[str, Any]) -> None:
    with WorkerProcess(*BURST, "--concurrency", "3", "--async-concurrency", "7", tasks=setting) as worker:
        assert worker.ended() == 0
        printed = worker.stdout
    assert re.search(r"^reinhardt_tasks \S+, worker 'worker' on \S+, process \d+$", printed, re.M)
    assert re.search(r"^  backend +default \(SQLite .*sqlite\.sqlite3\)$", printed, re.M)
    assert re.search(r"^  queues +default, emails$", printed, re.M)
    assert re.search(r"^  slots +3 threads, 7 coroutines$", printed, re.M)
    assert re.search(r"^  tasks +\d+ registered$", printed, re.M)
    assert "Ready." in printed


def test_the_banner_tells_of_paused_queues_and_of_a_scheduler(setting: dict[str, Any]) -> None:
    task_backends["default"].broker.pause("emails")
    with WorkerProcess(*BURST, "--with-scheduler", tasks=setting) as worker:
        assert worker.ended() == 0
        printed = worker.stdout
    assert re.search(r"^  paused +emails$", printed, re.M)
    assert re.search(r"^  schedules +are fired here, too$", printed, re.M)
    with WorkerProcess(*BURST, "--queue", "default", tasks=setting) as worker:
        assert worker.ended() == 0
        assert not re.search(r"^  (paused|schedules) ", worker.stdout, re.M)


def test_flags_reach_the_workers_configuration(setting: dict[str, Any]) -> None:
    given = {
        "name": "night",
        "concurrency": 3,
        "async_concurrency": 5,
        "poll_interval": 0.5,
        "shutdown_timeout": 7.0,
        "max_tasks": 11,
    }
    flags = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    command = Command()
    options = vars(
        command.create_parser("manage.py", "runworker").parse_args([*flags, "--max-memory", "13", "--burst"])
    )
    config = command._config(task_backends["default"], options)
    assert {name: getattr(config, name) for name in given} == given
    assert (config.max_memory, config.burst) == (13 * 1024 * 1024, True)


def test_max_tasks_leaves_the_rest(setting: dict[str, Any], lines: Path) -> None:
    results = tasks.note.enqueue_many([((str(lines), str(number)), {}) for number in range(9)])
    with WorkerProcess("--max-tasks", "4", tasks=setting) as worker:
        assert worker.ended() == 0, worker.stderr
    assert len(read(lines)) == 4
    for each in results:
        each.refresh()
    assert [each.state for each in results].count(TaskStatus.PENDING) == 5


def test_only_the_named_queues_are_served(setting: dict[str, Any], lines: Path) -> None:
    tasks.note.enqueue(str(lines), "default")
    tasks.note.using(queue_name="emails").enqueue(str(lines), "email")
    with WorkerProcess(*BURST, "--queue", "emails", tasks=setting) as worker:
        assert worker.ended() == 0, worker.stderr
    assert read(lines) == ["email"]


# Signals


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_lets_the_running_task_end(setting: dict[str, Any], lines: Path, go: Path, name: str) -> None:
    result = tasks.note_and_wait.enqueue(str(lines), "it", str(go))
    with WorkerProcess(tasks=setting) as worker:
        worker.ready()
        written(lines, "began it")
        late = tasks.note.enqueue(str(lines), "late")
        worker.process.send_signal(getattr(signal, name))
        # It claims no more, or it would have run the late one in one of its other threads.
        go.touch()
        assert worker.ended() == 0, worker.stderr
        assert "Stopped: " in worker.stdout
    result.refresh()
    late.refresh()
    assert result.state is TaskStatus.SUCCESS
    assert "ended it" in read(lines)
    assert late.state in (TaskStatus.PENDING, TaskStatus.SUCCESS)


def test_an_idle_worker_stops_on_a_signal(setting: dict[str, Any], lines: Path) -> None:
    tasks.note.enqueue(str(lines), "one")
    with WorkerProcess(tasks=setting) as worker:
        worker.ready()
        written(lines, "one")
        worker.terminate()
        assert worker.ended() == 0, worker.stderr


def test_a_second_signal_ends_it_at_once_and_the_task_runs_again(
    setting: dict[str, Any], lines: Path, go: Path
) -> None:
    result = tasks.note_and_wait.enqueue(str(lines), "it", str(go))
    with WorkerProcess(tasks=setting) as worker:
        worker.ready()
        written(lines, "began it")
        worker.terminate()
        wait_until(lambda: _is_pending_signal_taken(worker), "the first signal is taken", timeout=SOON)
        worker.terminate()
        assert worker.ended() == 1, worker.stderr
    result.refresh()
    assert (result.state, result.errors) == (TaskStatus.PENDING, [])
    go.touch()
    with WorkerProcess(*BURST, tasks=setting) as worker:
        assert worker.ended() == 0, worker.stderr
    result.refresh()
    assert result.state is TaskStatus.SUCCESS
    assert read(lines) == ["began it", "began it", "ended it"]


def _is_pending_signal_taken(worker: WorkerProcess) -> bool:
    """Return whether SIGTERM is no longer pending for the process, so that a second one is not merged with it."""
    status = Path(f"/proc/{worker.process.pid}/status")
    if not status.exists():
        return True
    bits = int(re.search(r"^ShdPnd:\s+(\w+)$", status.read_text(), re.M).group(1), 16)
    return not bits & 1 << (signal.SIGTERM - 1)


def test_the_shutdown_timeout_ends_it_too(setting: dict[str, Any], lines: Path, go: Path) -> None:
    result = tasks.note_and_wait.enqueue(str(lines), "it", str(go))
    with WorkerProcess("--shutdown-timeout", "0.2", tasks=setting) as worker:
        worker.ready()
        written(lines, "began it")
        worker.terminate()
        assert worker.ended() == 1, worker.stderr
    result.refresh()
    assert result.state is TaskStatus.PENDING


# What cannot be


def refusal(*flags: str, code: int, **kwargs: Any) -> str:
    with WorkerProcess(*flags, **kwargs) as worker:
        assert worker.ended() == code, worker.stderr
        assert "Traceback" not in worker.stderr
        assert "Ready" not in worker.stdout
        return worker.stderr


def test_an_unknown_backend_names_the_nearest(setting: dict[str, Any]) -> None:
    assert "did you mean 'default'?" in refusal("--backend", "defualt", code=2, tasks=setting)


def test_an_unknown_queue_names_the_nearest(setting: dict[str, Any]) -> None:
    words = refusal("--queue", "emials", code=2, tasks=setting)
    assert "did you mean 'emails'?" in words
    assert "'default', 'emails'" in words


FOREIGN = type(task_backends).__module__.split(".")[0]


@pytest.mark.parametrize(
    "path",
    [
        "reinhardt_tasks.backends.DummyBackend",
        "reinhardt_tasks.backends.ImmediateBackend",
        f"{'django.tasks' if FOREIGN == 'django' else FOREIGN}.backends.dummy.DummyBackend",
    ],
)
def test_a_backend_without_jobs_is_refused(path: str, sqlite_database: str) -> None:
    assert path.rpartition(".")[2] in refusal(code=2, tasks={"default": {"BACKEND": path}})


def test_a_bad_option_is_refused_by_the_systems_check(sqlite_database: str) -> None:
    words = refusal(code=2, tasks=tasks_on(sqlite_database, LAESE=3))
    assert "reinhardt_tasks.E003" in words
    assert "did you mean 'LEASE'?" in words


def test_an_alias_that_would_take_anothers_tasks_is_refused(sqlite_database: str) -> None:
    its = tasks_on(sqlite_database)["default"]
    assert "reinhardt_tasks.E013" in refusal(code=2, tasks={"default": its, "default:fast": its})


@pytest.mark.parametrize(
    "flags",
    [
        ("--concurrency", "0"),
        ("--concurrency", "many"),
        ("--poll-interval", "-1"),
        ("--poll-interval", "0.001"),
        ("--max-tasks", "0"),
    ],
)
def test_a_flag_that_cannot_be_is_refused(setting: dict[str, Any], flags: tuple[str, str]) -> None:
    assert flags[0] in refusal(*flags, code=2, tasks=setting)


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_is_said(engine: str, sqlite_database: str) -> None:
    port = ReservedPort()
    try:
        databases = {
            "default": {
                "ENGINE": f"django.db.backends.{engine}",
                "NAME": "nobody",
                "USER": "nobody",
                "HOST": "127.0.0.1",
                "PORT": str(port.number),
            }
        }
        words = refusal(code=3, tasks=tasks_on("default"), REINHARDT_TEST_DATABASES=json.dumps(databases))
    finally:
        port.release()
    # On MariaDB and MySQL Django's own checks may meet it first.
    assert "TASKS['default'] cannot be reached" in words or "A database cannot be reached" in words
    assert "Traceback" not in words


def test_missing_tables_are_said(tmp_path: Path, sqlite_database: str) -> None:
    from tests.settings import sqlite

    databases = {"default": sqlite(tmp_path / "empty.sqlite3")}
    words = refusal(code=3, tasks=tasks_on("default"), REINHARDT_TEST_DATABASES=json.dumps(databases))
    assert "manage.py migrate" in words


# Logs and environment


def test_json_lines_are_json(setting: dict[str, Any]) -> None:
    result = tasks.fail.enqueue("line one\nline two")
    with WorkerProcess(*BURST, "--log-format", "json", tasks=setting) as worker:
        assert worker.ended() == 0
        records = [json.loads(line) for line in worker.stderr.splitlines()]
    assert records
    assert all({"time", "level", "logger", "message"} <= record.keys() for record in records)
    (failure,) = [record for record in records if record["level"] == "ERROR"]
    assert f"id={result.id} path=tests.tasks.fail failed for good" in failure["message"]
    assert (failure["task_id"], failure["task_name"]) == (result.id, "tests.tasks.fail")
    assert (failure["task_attempt"], failure["task_queue"]) == (1, "default")
    assert "line two" in failure["traceback"] and "line two" not in failure["message"]


def test_what_a_task_logs_is_shown_and_kept_though_nothing_is_set_for_it(setting: dict[str, Any]) -> None:
    results = [tasks.speak.enqueue("hello", level) for level in ("INFO", "WARNING", "DEBUG")]
    with WorkerProcess(*BURST, tasks=setting) as worker:
        assert worker.ended() == 0
        lines = [line for line in worker.stderr.splitlines() if "hello" in line]
    for result, level, line in zip(results, ("INFO", "WARNING"), lines, strict=False):
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d {level} +Task id={result.id} path=tests\.tasks\.speak tests\.tasks: hello", line
        )
        result.refresh()
        assert [(line.level, line.message) for line in result.log] == [(level, "hello")]
    # Neither once more by Python's last resort, nor what is beneath INFO.
    assert len(lines) == 2


def test_what_a_task_logs_is_json_where_lines_are(setting: dict[str, Any]) -> None:
    result = tasks.speak.enqueue("hello", "INFO")
    with WorkerProcess(*BURST, "--log-format", "json", tasks=setting) as worker:
        assert worker.ended() == 0
        records = [json.loads(line) for line in worker.stderr.splitlines()]
    (record,) = [record for record in records if record["message"] == "hello"]
    assert (record["logger"], record["task_id"], record["task_name"]) == (
        "tests.tasks",
        result.id,
        "tests.tasks.speak",
    )


CONSOLE = {"console": {"class": "logging.StreamHandler"}}


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        ({"root": {"handlers": ["console"], "level": "WARNING"}}, []),
        ({"loggers": {"tests": {"handlers": ["console"], "level": "INFO"}}}, ["hello"]),
        ({"loggers": {"tests": {"level": "WARNING"}}}, []),
    ],
    ids=["root", "own handler", "own level"],
)
def test_logging_has_the_last_word(setting: dict[str, Any], logging: dict[str, Any], shown: list[str]) -> None:
    tasks.speak.enqueue("hello", "INFO")
    chosen = {"version": 1, "disable_existing_loggers": False, "handlers": CONSOLE, **logging}
    with WorkerProcess(*BURST, tasks=setting, REINHARDT_TEST_LOGGING=json.dumps(chosen)) as worker:
        assert worker.ended() == 0
        assert [line for line in worker.stderr.splitlines() if "hello" in line] == shown
        assert "succeeded in" in worker.stderr


@pytest.mark.parametrize(("verbosity", "is_silent"), [("0", True), ("1", False)])
def test_verbosity_zero_is_silent(setting: dict[str, Any], lines: Path, verbosity: str, is_silent: bool) -> None:
    tasks.note.enqueue(str(lines), "one")
    with WorkerProcess(*BURST, "--verbosity", verbosity, tasks=setting) as worker:
        assert worker.ended() == 0
        assert ("succeeded in" not in worker.stderr) is is_silent
        assert ("Stopped" not in worker.stdout) is is_silent


def test_flags_come_from_the_environment(setting: dict[str, Any], lines: Path) -> None:
    tasks.note.enqueue(str(lines), "default")
    tasks.note.using(queue_name="emails").enqueue(str(lines), "email")
    with WorkerProcess(
        tasks=setting,
        REINHARDT_TASKS_CONCURRENCY="2",
        REINHARDT_TASKS_QUEUE="emails",
        REINHARDT_TASKS_BURST="1",
        REINHARDT_TASKS_LOG_FORMAT="json",
    ) as worker:
        assert worker.ended() == 0, worker.stderr
        assert re.search(r"slots +2 threads", worker.stdout)
        assert all(json.loads(line) for line in worker.stderr.splitlines())
    assert read(lines) == ["email"]


def test_a_flag_goes_before_the_environment(setting: dict[str, Any]) -> None:
    with WorkerProcess(*BURST, "--concurrency", "5", tasks=setting, REINHARDT_TASKS_CONCURRENCY="2") as worker:
        assert worker.ended() == 0
        assert re.search(r"slots +5 threads", worker.stdout)


def test_a_queue_flag_goes_before_the_environment(setting: dict[str, Any]) -> None:
    with WorkerProcess(*BURST, "--queue", "emails", tasks=setting, REINHARDT_TASKS_QUEUE="default") as worker:
        assert worker.ended() == 0
        assert re.search(r"^  queues +emails$", worker.stdout, re.M)


@pytest.mark.parametrize(("name", "value"), [("CONCURRENCY", "many"), ("LOG_FORMAT", "xml"), ("BURST", "perhaps")])
def test_a_bad_value_in_the_environment_is_refused(setting: dict[str, Any], name: str, value: str) -> None:
    assert value in refusal(code=2, tasks=setting, **{f"REINHARDT_TASKS_{name}": value})


# Reloading


def test_reload_starts_again_when_code_changes(setting: dict[str, Any], tmp_path: Path, lines: Path) -> None:
    module = tmp_path / "changing_settings.py"
    text = "from tests.worker.process_settings import *\nCHANGED = {}\n"
    module.write_text(text.format(0))
    with WorkerProcess(
        "--reload",
        tasks=setting,
        settings="changing_settings",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
    ) as worker:
        worker.ready()
        tasks.note.enqueue(str(lines), "before")
        written(lines, "before")

        def changed() -> bool:
            # Again and again: the watcher takes the first look at a file for its beginning.
            module.write_text(text.format(os.urandom(4).hex().encode()))
            return worker.stdout.count("Ready.") >= 2

        wait_until(changed, "the worker starts again", timeout=SOON, interval=1.1)
        tasks.note.enqueue(str(lines), "after")
        wait_until(lambda: "after" in read(lines), "the new worker works", timeout=SOON)
        worker.terminate()
        worker.ended()
