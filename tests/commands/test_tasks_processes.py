"""`manage.py tasks` as a person or a script starts it: exit codes, pipes, terminals, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from tests import databases, tasks
from tests.databases import environment_for_processes
from tests.worker.processes import ROOT, SOON, tasks_on


@pytest.fixture
def environment(sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[dict[str, str]]:
    with django_db_blocker.unblock():
        databases.emptied(sqlite_database)
        settings.TASKS = tasks_on(sqlite_database)
        yield {
            **{name: value for name, value in environment_for_processes().items() if name not in ("NO_COLOR", "TERM")},
            "DJANGO_SETTINGS_MODULE": "tests.worker.process_settings",
            "REINHARDT_TEST_TASKS": json.dumps(settings.TASKS),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "TERM": "xterm-256color",
            "COLUMNS": "200",
        }
        task_backends["default"].broker.close()


def started(environment: dict[str, str], *words: str, **how: Any) -> subprocess.Popen[str]:
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    # Tests that a shell started in the background ignore Ctrl-C, and so would what they start.
    how["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        [sys.executable, "-m", "django", "tasks", *words], cwd=ROOT, env=environment, text=True, **how
    )


def done(environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    process = started(environment, *words)
    out, err = process.communicate(timeout=SOON)
    return process.returncode, out, err


def test_exit_codes_reach_the_shell(environment: dict[str, str]) -> None:
    id_ = tasks.fail.enqueue("words").id
    assert done(environment, "list")[0] == 0
    code, out, err = done(environment, "retry", id_)
    assert (code, out, err) == (1, "Done with 0 of 1.\n", f"{id_}: It is PENDING.\n")
    code, out, err = done(environment, "discard", id_)
    assert (code, out) == (2, "")
    assert err == "CommandError: Delete 1 task for good? Nobody is here to be asked: add --yes.\n"
    assert done(environment, "list", "--status", "pendign")[0] == done(environment, "nothing")[0] == 2
    away = {
        "default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": {"URL": "redis://127.0.0.1:1/0"}}
    }
    assert done({**environment, "REINHARDT_TEST_TASKS": json.dumps(away)}, "pause", "default")[0] == 3


def test_whoever_reads_may_stop_reading(environment: dict[str, str]) -> None:
    tasks.note.enqueue_many([(("path", "x" * 50), {}) for _ in range(3000)])
    process = started(environment, "list", "--limit", "3000")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith("id ")
    process.stdout.close()
    assert process.wait(SOON) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_what_acts_is_not_done_because_nobody_reads_on(environment: dict[str, str]) -> None:
    id_ = tasks.note.enqueue("path", "x").id
    process = started(environment, "retry", id_)
    assert process.stderr is not None
    process.stderr.close()
    # It is pending: that is what nobody reads.
    assert process.wait(SOON) == 1
    process.communicate()


def test_status_is_shown_again_until_ctrl_c(environment: dict[str, str]) -> None:
    process = started(environment, "status", "--watch", "--interval", "0.1", "--json")
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    assert process.wait(SOON) == 0
    assert lines[0]["at"] < lines[1]["at"] < lines[2]["at"]
    process.communicate()


def on_terminal(environment: dict[str, str], *words: str) -> str:
    """Return what a command shows on a terminal."""
    ours, its = pty.openpty()
    process = started(environment, *words, stdout=its, stderr=its)
    os.close(its)
    shown = b""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            some = os.read(ours, 65536)
        except OSError:
            # The other end is closed: Linux says so by an error.
            break
        if not some:
            break
        shown += some
    process.wait(SOON)
    os.close(ours)
    return shown.decode()


def test_on_a_terminal_rich_draws_the_tables_and_obeys_no_color(environment: dict[str, str]) -> None:
    pytest.importorskip("rich")
    result = tasks.note.enqueue("[bold]path[/bold]", "x")
    id_ = result.id
    result.cancel()
    shown = on_terminal(environment, "list")
    assert id_ in shown and "─" in shown
    # What is in brackets is no colour.
    assert "[bold]path[/bold]" in shown
    assert "\x1b[33mCANCELLED" in shown
    for colourless in (
        on_terminal({**environment, "NO_COLOR": "1"}, "list"),
        on_terminal(environment, "list", "--no-color"),
    ):
        assert id_ in colourless and re.search(r"\x1b\[(3|4|9)\d", colourless) is None


def test_without_a_terminal_tables_are_plain(environment: dict[str, str]) -> None:
    id_ = tasks.note.enqueue("path", "x").id
    _, out, _ = done(environment, "list")
    assert re.fullmatch(rf"id +status +queue .*\n{id_}  PENDING +default .*\n", out)
    assert "\x1b" not in out
