"""`manage.py check`: each thing that can be wrong with the settings has an id, a sentence and a way out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections

from reinhardt_tasks import task
from reinhardt_tasks._compat import TASKS_APP, task_backends
from reinhardt_tasks.backends import databases as database_checks
from reinhardt_tasks.schedules import Declaration, declared
from tests.settings import sqlite

DATABASE, DUMMY = "reinhardt_tasks.backends.DatabaseBackend", "reinhardt_tasks.backends.DummyBackend"


@task
def note() -> None: ...


def messages(*asked: str) -> dict[str, Any]:
    """Return this package's messages by the number of their id; the databases `asked` are asked too."""
    found = [message for message in run_checks(databases=asked) if (message.id or "").startswith("reinhardt_tasks.")]
    by_number = {message.id.removeprefix("reinhardt_tasks."): message for message in found}
    assert len(by_number) == len(found), found
    assert all(message.msg and message.hint for message in found)
    return by_number


@contextmanager
def a_database(settings: dict[str, Any]) -> Iterator[str]:
    """Make Django know a database without tables, and forget it again."""
    connections.databases["other"] = connections.configure_settings({"default": settings})["default"]
    try:
        yield "other"
    finally:
        connections["other"].close()
        del connections["other"]
        del connections.databases["other"]


@pytest.fixture(autouse=True)
def unblocked(django_db_blocker: Any) -> Iterator[None]:
    """Some of the checks look into a database file, and none of these tests writes to the default one."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "other.sqlite3"


def test_settings_as_they_should_be_are_no_problem(settings: Any) -> None:
    settings.TASKS = {
        "default": {"BACKEND": DATABASE, "QUEUES": ["default"], "OPTIONS": {"LEASE": 20}},
        "dummy": {"BACKEND": DUMMY},
    }
    assert messages() == {}
    call_command("check")


def test_e001_the_app_is_not_installed(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": DUMMY}}
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app not in ("reinhardt_tasks", "tests")]
    message = messages()["E001"]
    assert "TASKS['default'] uses reinhardt_tasks" in message.msg
    assert message.hint == "Add 'reinhardt_tasks' to INSTALLED_APPS."


@pytest.mark.parametrize(
    ("number", "alias", "sentence", "hint"),
    [
        pytest.param(
            "E002",
            {"OPTIONS": ["LEASE"]},
            r"TASKS['default']['OPTIONS'] must be a dictionary",
            "{'LEASE': 30}",
            id="E002",
        ),
        pytest.param(
            "E003",
            {"OPTIONS": {"LEESE": 5}},
            "'LEESE', which is no option (did you mean 'LEASE'?)",
            "LEASE",
            id="E003 option",
        ),
        pytest.param("E003", {"QUEUE": []}, "'QUEUE', which is no key", "QUEUES", id="E003 key"),
        pytest.param(
            "E004",
            {"OPTIONS": {"LEASE": -1}},
            "TASKS['default']['OPTIONS']['LEASE'] must be seconds",
            "Correct",
            id="E004",
        ),
        pytest.param(
            "E004", {"MAX_ATTEMPTS": 0}, "TASKS['default']['MAX_ATTEMPTS']", "Correct", id="E004 of the alias"
        ),
        pytest.param("E005", {"QUEUES": "default"}, "['QUEUES'] must be a list of names", "['default']", id="E005"),
        pytest.param(
            "E005",
            {"QUEUES": ["emails"], "OPTIONS": {"QUEUES": {"emials": {}}}},
            "'emials', which its 'QUEUES' lacks (did you mean 'emails'?)",
            "Add the name",
            id="E005 rules of an unknown queue",
        ),
    ],
)
@pytest.mark.parametrize("backend", [DATABASE, DUMMY])
def test_what_is_wrong_in_an_alias(
    settings: Any, backend: str, number: str, alias: dict[str, Any], sentence: str, hint: str
) -> None:
    settings.TASKS = {"default": {"BACKEND": backend, **alias}}
    found = messages()
    assert list(found) == [number]
    assert sentence in found[number].msg
    assert hint in found[number].hint


def test_everything_that_is_wrong_is_shown_at_once_and_ends_the_command(settings: Any) -> None:
    settings.TASKS = {
        "default": {"BACKEND": DUMMY, "QUEUES": 5},
        "other": {"BACKEND": DATABASE, "OPTIONS": {"LEESE": 5, "MAX_LOST": 0, "DATABASE": "nowhere"}},
    }
    with pytest.raises(SystemCheckError) as caught:
        call_command("check")
    for number in ("E003", "E004", "E005", "E010"):
        assert f"(reinhardt_tasks.{number})" in str(caught.value)


def test_e010_there_is_no_such_database(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": "defualt"}}}
    message = messages()["E010"]
    assert "TASKS['default'] uses the database 'defualt', which DATABASES does not have" in message.msg
    assert "'default'" in message.hint


def test_e011_the_database_cannot_keep_tasks(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": "other"}}}
    with a_database({"ENGINE": "django.db.backends.dummy"}):
        message = messages()["E011"]
    assert "TASKS['default'] uses the database 'other'" in message.msg
    assert "SQLite, PostgreSQL, MariaDB or MySQL" in message.hint


def test_e012_sqlite_is_too_old(settings: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": "other"}}}
    monkeypatch.setitem(database_checks._OLDEST, "sqlite", (99, 0))
    with a_database(sqlite(path)):
        message = messages()["E012"]
    assert "too old to keep tasks" in message.msg
    assert "SQLite 3.35" in message.hint


@pytest.mark.parametrize(
    ("vendor", "beyond"), [("postgres", ("postgresql", 990000)), ("mariadb", ("mariadb", (99, 0)))]
)
def test_e012_the_server_is_too_old(
    settings: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, vendor: str, beyond: Any
) -> None:
    alias = request.getfixturevalue(f"{vendor}_database")
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": alias}}}
    assert messages(alias) == {}
    monkeypatch.setitem(database_checks._OLDEST, *beyond)
    assert messages() == {}
    message = messages(alias)["E012"]
    assert f"The database '{alias}' of TASKS['default'] is too old" in message.msg


def test_e013_a_colon_in_the_alias_of_a_database(settings: Any) -> None:
    settings.TASKS = {
        "default": {"BACKEND": DATABASE},
        "default:fast": {"BACKEND": DATABASE},
        "a:dummy": {"BACKEND": DUMMY},
    }
    found = messages()
    assert list(found) == ["E013"]
    assert "TASKS['default:fast'] keeps tasks in a database, and has a colon in its alias" in found["E013"].msg
    assert "a worker of 'default' would take them" in found["E013"].msg
    assert found["E013"].hint == "Call it 'default-fast'."
    with pytest.raises(ImproperlyConfigured, match="has a colon in its alias"):
        task_backends["default:fast"].enqueue(note, (), {})


@pytest.mark.parametrize(("version", "told"), [((8, 0, 16), ["E012"]), ((8, 0, 17), [])])
def test_e012_a_mysql_without_the_collation_of_names(
    settings: Any, mariadb_database: str, monkeypatch: pytest.MonkeyPatch, version: Any, told: list[str]
) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": mariadb_database}}}
    known = vars(connections[mariadb_database])
    monkeypatch.setitem(known, "mysql_is_mariadb", False)
    monkeypatch.setitem(known, "mysql_version", version)
    assert list(messages(mariadb_database)) == told


def test_w001_an_sqlite_file_without_a_write_ahead_log(settings: Any, path: Path) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": "other"}}}
    plain = sqlite(path)
    del plain["OPTIONS"]["init_command"]
    with a_database(plain):
        message = messages()["W001"]
        assert "'other' of TASKS['default'] is not in WAL mode" in message.msg
        assert "['init_command'] = 'PRAGMA journal_mode=WAL'" in message.hint
        assert not path.exists()
        with connections["other"].cursor() as cursor:
            cursor.execute("CREATE TABLE a (b)")
        assert "W001" in messages()
        with connections["other"].cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
        # A file stays in that mode: whoever set it once need not say it in the settings.
        assert messages() == {}


@pytest.mark.parametrize("mode", [None, "DEFERRED"])
def test_w002_sqlite_transactions_that_begin_without_the_lock(settings: Any, path: Path, mode: str | None) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": "other"}}}
    deferred = sqlite(path)
    deferred["OPTIONS"]["transaction_mode"] = mode
    with a_database(deferred):
        found = messages()
    assert list(found) == ["W002"]
    assert "begin without the lock" in found["W002"].msg
    assert "['transaction_mode'] = 'IMMEDIATE'" in found["W002"].hint


def test_a_database_in_memory_needs_neither_log_nor_lock(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": "other"}}}
    with a_database({"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}):
        assert messages() == {}


def test_w003_the_tables_are_not_there(settings: Any, path: Path) -> None:
    settings.TASKS = {"default": {"BACKEND": DATABASE, "OPTIONS": {"DATABASE": "other"}}}
    with a_database(sqlite(path)):
        assert messages() == {}
        found = messages("other")
        assert list(found) == ["W003"]
        assert "'other' of TASKS['default'] has no table reinhardt_tasks_job" in found["W003"].msg
        assert found["W003"].hint == "Run `manage.py migrate --database other`, unless that is what runs just now."
        call_command("migrate", database="other", verbosity=0)
        assert messages("other") == {}


NIGHTLY = {"task": "tests.tasks.note", "schedule": "0 3 * * *", "args": ["a", "b"]}


@pytest.mark.parametrize(
    ("number", "entry", "sentence", "hint"),
    [
        (
            "E030",
            {**NIGHTLY, "schedule": "61 3 * * *"},
            "['SCHEDULES']['nightly']: Schedule 'nightly': Cron",
            "Correct",
        ),
        ("E030", {**NIGHTLY, "overlaps": "skip"}, "has no option 'overlaps'. Did you mean 'overlap'?", "Correct"),
        ("E031", {**NIGHTLY, "name": "taken"}, "has 'taken', which code has too", "Rename"),
        (
            "E032",
            {**NIGHTLY, "task": "tests.tasks.nite"},
            "is not there (did you mean 'tests.tasks.note'?)",
            "function",
        ),
        ("E033", {**NIGHTLY, "args": []}, "cannot be called with these arguments", "args and kwargs"),
        ("E034", {**NIGHTLY, "backend": "defualt"}, "TASKS lacks (did you mean 'default'?)", "one of TASKS"),
        ("E034", {**NIGHTLY, "queue_name": "emials"}, "['QUEUES'] (did you mean 'emails'?)", "Add it"),
    ],
)
def test_what_is_wrong_with_a_schedule(
    settings: Any, number: str, entry: dict[str, Any], sentence: str, hint: str
) -> None:
    name = entry.get("name", "nightly")
    entry = {key: value for key, value in entry.items() if key != "name"}
    settings.TASKS = {
        "default": {"BACKEND": DATABASE, "QUEUES": ["default", "emails"], "OPTIONS": {"SCHEDULES": {"well": NIGHTLY}}},
        "dummy": {"BACKEND": DUMMY, "QUEUES": ["default", "emails"], "OPTIONS": {"SCHEDULES": {name: entry}}},
    }
    taken = Declaration(name="taken", task="tests.tasks.note", schedule="0 3 * * *", args=("a", "b"))
    declared.register(taken)
    try:
        found = messages()
    finally:
        declared.unregister("taken")
    assert list(found) == [number]
    assert sentence in found[number].msg
    assert hint in found[number].hint


def test_e004_schedules_that_are_no_dictionary(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": DUMMY, "OPTIONS": {"SCHEDULES": ["nightly"]}}}
    assert "must map names to schedules" in messages()["E004"].msg


@pytest.mark.parametrize("alias", [{}, "x", {"BACKEND": 5}, None])
def test_e006_an_alias_names_no_backend(settings: Any, alias: Any) -> None:
    settings.TASKS = {"default": alias, "other": {"BACKEND": DUMMY, "QUEUES": 5}}
    found = messages("default")
    assert sorted(found) == ["E005", "E006"]
    assert found["E006"].msg == "TASKS['default'] must be a dictionary whose 'BACKEND' is the path of a class."
    assert "{'BACKEND': 'reinhardt_tasks.backends.DatabaseBackend'}" in found["E006"].hint


def test_e006_tasks_are_no_dictionary(settings: Any) -> None:
    settings.TASKS = ["default"]
    assert list(messages("default")) == ["E006"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("reinhardt_tasks.backends.DatabaseBackand", "Correct its 'BACKEND' (did you mean 'reinhardt_tasks.backends.D"),
        ("nowhere_at_all.Backend", "Correct its 'BACKEND'."),
        ("needy.Backend", "Install the library: pip install not_there."),
    ],
)
def test_e007_a_backend_cannot_be_imported(
    settings: Any, path: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy.py").write_text("import not_there.at_all")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings.TASKS = {
        "default": {"BACKEND": path},
        "dummy": {"BACKEND": DUMMY, "OPTIONS": {"SCHEDULES": {"nightly": {**NIGHTLY, "backend": "default"}}}},
    }
    (message,) = messages("default").values()
    assert message.id == "reinhardt_tasks.E007"
    assert message.msg.startswith(f"TASKS['default']: Could not find backend '{path}': ")
    assert message.hint.startswith(hint)


@pytest.mark.parametrize(
    "apps", [["reinhardt_tasks"], ["reinhardt_tasks", "django_tasks"], ["django_tasks", "reinhardt_tasks"]]
)
def test_djangos_own_check_does_not_stop_ours(apps: list[str], tmp_path: Path) -> None:
    if "django_tasks" in apps and TASKS_APP is None:
        pytest.skip("This Django has no need of the backport.")
    found = checked(tmp_path, "TASKS = {'default': {'BACKEND': 'reinhardt_tasks.backends.RedysBackend'}}", apps)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    assert found.stderr.count("(reinhardt_tasks.E007)") == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [("TASKS = {}", "TASKS is empty: no task can be declared"), ("", "TASKS names no backend: tasks run at once")],
)
def test_w004_no_backend_is_named(line: str, sentence: str, tmp_path: Path) -> None:
    found = checked(tmp_path, line)
    assert found.returncode == 0, found.stderr
    assert "(reinhardt_tasks.W004)" in found.stderr
    assert sentence in found.stderr
    assert "HINT: Set TASKS = {'default': {'BACKEND': 'reinhardt_tasks.backends.DatabaseBackend'}}" in found.stderr


@pytest.mark.parametrize("apps", [["reinhardt_tasks"], ["django_tasks", "reinhardt_tasks"]])
def test_each_backend_is_checked_once_whether_or_not_the_backport_is_installed(apps: list[str], tmp_path: Path) -> None:
    if "django_tasks" in apps and TASKS_APP is None:
        pytest.skip("This Django has no need of the backport.")
    found = checked(tmp_path, f"TASKS = {{'default': {{'BACKEND': '{DUMMY}', 'QUEUES': 5}}}}", apps)
    assert found.returncode == 1
    assert found.stderr.count("(reinhardt_tasks.E005)") == 1


def checked(folder: Path, line: str, apps: Sequence[str] = ("reinhardt_tasks",)) -> subprocess.CompletedProcess[str]:
    """Run `check` on settings of these apps and one more line, in a process of its own: Django registers a check for good."""
    (folder / "bare.py").write_text(f"SECRET_KEY = 'a'\nINSTALLED_APPS = {list(apps)}\n{line}\n")
    return subprocess.run(
        [sys.executable, "-m", "django", "check", "--settings", "bare"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[1])])},
        capture_output=True,
        text=True,
        timeout=120,
    )
