"""`manage.py taskhealth`: what it takes for healthy, by a file or by the store, and how it says what is not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import Changes, WorkerInfo
from reinhardt_tasks.management.commands.taskhealth import Command
from tests import tasks
from tests.servers.ports import ReservedPort
from tests.test_docs import ROOT, table
from tests.worker.processes import tasks_on

FACTS = {"time": "2026-01-01T00:00:00.000+00:00", "pid": 4711, "state": "ready", "turns": 3, "running": 1}


@pytest.fixture
def setting(setting: dict[str, Any], settings: Any) -> dict[str, Any]:
    """The shared one, with two queues by name, and a backend that no worker serves."""
    settings.TASKS = {
        "default": {**setting["default"], "QUEUES": ["default", "emails"]},
        "dummy": {"BACKEND": "reinhardt_tasks.backends.DummyBackend"},
    }
    return settings.TASKS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "worker.json"
    file.write_text(json.dumps(FACTS))
    return file


def asked(*flags: str) -> tuple[int, str, str]:
    """Return exit code and what was printed and complained of."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("taskhealth", *flags, stdout=out, stderr=err)
    except SystemExit as exc:
        return int(exc.code or 0), out.getvalue(), err.getvalue()
    except CommandError as exc:
        return exc.returncode, out.getvalue(), str(exc)
    return 0, out.getvalue(), err.getvalue()


def signed_in(number: int = 1) -> None:
    for each in range(number):
        task_backends["default"].broker.heartbeat(WorkerInfo(id=f"worker-{each}", lease=600))


def aged(file: Path, seconds: float) -> Path:
    moment = time.time() - seconds
    os.utime(file, (moment, moment))
    return file


# By the file


@pytest.mark.parametrize("state", ["ready", "quiet", "stopping", "reloading"])
def test_a_young_file_is_healthy(file: Path, state: str) -> None:
    file.write_text(json.dumps({**FACTS, "state": state}))
    code, out, err = asked("--file", str(file), "--max-age", "600")
    assert (code, err) == (0, "")
    assert f"Healthy: process 4711 is {state}" in out


@pytest.mark.parametrize("seconds", [100, -100], ids=["old", "ahead"])
def test_a_file_of_another_time_is_not(file: Path, seconds: float) -> None:
    code, out, err = asked("--file", str(aged(file, seconds)), "--max-age", "60")
    assert (code, out) == (1, "")
    assert "and may be 60: process 4711 gets nothing done." in err
    assert asked("--file", str(file))[0] == 1
    assert asked("--file", str(aged(file, seconds)), "--max-age", "600")[0] == 0


def test_no_file_is_not_healthy(tmp_path: Path) -> None:
    code, _, err = asked("--file", str(tmp_path / "none"))
    assert code == 1
    assert "is not there" in err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"state": "fine"}', '{"state": []}'])
def test_another_file_is_not_healthy(file: Path, text: str) -> None:
    file.write_text(text)
    code, _, err = asked("--file", str(file))
    assert code == 1
    assert len(err.splitlines()) == 1


def test_the_file_is_told_as_json(file: Path) -> None:
    code, out, _ = asked("--file", str(aged(file, 100)), "--json")
    told = json.loads(out)
    assert code == 1
    assert (told["healthy"], told["pid"], told["state"]) == (False, 4711, "ready")
    assert told["age"] >= 100 and len(told["problems"]) == 1


def test_a_file_needs_no_database(file: Path) -> None:
    """In a process whose database cannot be, of a site with a faulty backend; by its exit code, as a probe calls it."""
    faulty = {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "OPTIONS": {"NO_SUCH": 1}}
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker.process_settings",
        "REINHARDT_TEST_TASKS": json.dumps({**tasks_on("default"), "faulty": faulty}),
        "REINHARDT_TEST_DATABASES": json.dumps({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/no/x"}}),
    }
    command = [sys.executable, "-m", "django", "taskhealth"]
    codes = []
    for flags in (["--file", str(file), "--max-age", "600"], ["--file", str(file) + "x"], [], ["--max-age", "x"]):
        done = subprocess.run([*command, *flags], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        codes.append(done.returncode)
    assert codes == [0, 1, 3, 2]


# By the store


def test_a_backend_with_a_worker_is_healthy(setting: dict[str, Any]) -> None:
    signed_in()
    code, out, err = asked()
    assert (code, err) == (0, "")
    assert "TASKS['default'] has 1 living worker and 0 queues with tasks" in out
    tasks.note.enqueue("/dev/null", "one")
    signed_in(2)
    assert "has 2 living workers and 1 queue with tasks" in asked()[1]


def test_too_few_workers_are_said(setting: dict[str, Any]) -> None:
    code, _, err = asked()
    assert (code, err) == (1, "TASKS['default'] has 0 living workers, and should have 1 or more.\n")
    assert asked("--min-workers", "0")[0] == 0
    signed_in(2)
    assert asked("--min-workers", "2")[0] == 0
    assert asked("--min-workers", "3")[0] == 1


def test_one_that_is_gone_does_not_count(setting: dict[str, Any]) -> None:
    broker, gone = task_backends["default"].broker, WorkerInfo(id="gone", lease=600)
    tasks.note.enqueue("/dev/null", "one")
    assert broker.claim(None, 1, gone)
    assert asked()[0] == 0
    broker.leave(gone)
    # It is still in the list, for what it holds.
    assert [record.is_alive for record in broker.workers()] == [False]
    assert asked()[0] == 1


def test_a_queue_that_is_behind_is_said(setting: dict[str, Any]) -> None:
    signed_in()
    result = tasks.note.using(queue_name="emails").enqueue("/dev/null", "late")
    assert asked("--max-oldest", "3600")[0] == 0
    since = datetime.now(UTC) - timedelta(hours=2)
    assert task_backends["default"].broker.change([result.id], Changes(run_after=since))
    code, _, err = asked("--max-oldest", "3600")
    assert code == 1
    assert err.startswith("Queue 'emails' is behind: its oldest ready task has waited for 72")
    assert len(err.splitlines()) == 1
    assert asked("--max-oldest", "9000")[0] == 0
    assert asked()[0] == 0


def test_a_paused_queue_is_said_and_not_called_late(setting: dict[str, Any]) -> None:
    signed_in()
    tasks.note.enqueue("/dev/null", "one")
    broker = task_backends["default"].broker
    broker.pause("default")
    try:
        code, _, err = asked("--max-oldest", "0")
        assert code == 1
        assert err == "Queue 'default' is paused: none of its tasks is begun until it is resumed.\n"
    finally:
        broker.resume("default")
    assert asked()[0] == 0


def test_the_store_is_told_as_json(setting: dict[str, Any]) -> None:
    tasks.note.enqueue("/dev/null", "one")
    code, out, err = asked("--json")
    told = json.loads(out)
    assert (code, err) == (1, "")
    assert (told["healthy"], told["backend"], told["workers"]) == (False, "default", 0)
    (queue,) = [queue for queue in told["queues"] if queue["queue"] == "default"]
    assert (queue["ready"], queue["is_paused"]) == (1, False)
    assert queue["oldest"] >= 0


def test_a_store_that_does_not_answer_is_another_matter(settings: Any) -> None:
    port = ReservedPort()
    try:
        url = f"redis://127.0.0.1:{port.number}/0"
        settings.TASKS = {
            "default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": {"URL": url}},
        }
        code, _, err = asked()
        assert code == 3
        assert "TASKS['default'] cannot be reached" in err
        code, out, _ = asked("--json")
        assert code == 3
        assert json.loads(out)["healthy"] is False
    finally:
        port.release()


# What cannot be


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--backend", "defualt"), "did you mean 'default'?"),
        (("--backend", "dummy"), "keeps no tasks"),
        (("--max-age", "3"), "--max-age needs --file"),
        (("--file", "x", "--backend", "default"), "leave out --backend"),
        (("--file", "x", "--min-workers", "0"), "leave out --min-workers"),
        (("--file", "x", "--max-oldest", "0"), "leave out --max-oldest"),
    ],
)
def test_a_usage_that_cannot_be_is_said(setting: dict[str, Any], flags: tuple[str, ...], words: str) -> None:
    code, _, said = asked(*flags)
    assert code == 2
    assert words in said


def test_every_flag_is_told() -> None:
    djangos = {flag for action in _actions(BaseCommand()) for flag in action.option_strings}
    flags = {action.option_strings[0] for action in _actions(Command())} - djangos
    assert set(table(ROOT / "docs" / "health.md", "Flags of taskhealth")) == flags


def _actions(command: BaseCommand) -> Any:
    return command.create_parser("manage.py", "taskhealth")._actions
