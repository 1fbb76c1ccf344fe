"""A project that comes from another task system: its app, its tables in one database, and ours beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from reinhardt_tasks._compat import TASKS_APP, task_backends
from tests import databases

QUEUES = ["default", "emails"]

#: Without the admin: what these apps register there would stay when they are gone.
_OURS = ["django.contrib.contenttypes", "django.contrib.auth", *filter(None, [TASKS_APP]), "reinhardt_tasks", "tests"]


def needs(
    package: str, why: str = "it comes with the extra `moving`, and does not know every version of Django"
) -> Any:
    """Skip a module's tests where a package is missing, and say why."""
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed: {why}.")


#: Tables that were made: they stay as long as their database, which is this process's own.
_MADE: set[tuple[str, str]] = set()


class To:
    """A router that sends everything to one database."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return self._alias

    db_for_write = db_for_read

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


@contextmanager
def moved_in(app: str, label: str, alias: str, settings: Any, blocker: Any) -> Iterator[None]:
    """Let the project have `app`, its empty tables in the database `alias`, and our backend there too."""
    with blocker.unblock():
        databases.emptied(alias)
        settings.INSTALLED_APPS = [*_OURS, app]
        settings.DATABASE_ROUTERS = [To(alias)]
        settings.TASKS = {
            "default": {
                "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
                "QUEUES": QUEUES,
                "OPTIONS": {"DATABASE": alias},
            }
        }
        _empty_tables(label, alias)
        try:
            yield
        finally:
            task_backends["default"].broker.close()


def _empty_tables(label: str, alias: str) -> None:
    if (label, alias) not in _MADE:
        call_command("migrate", label, database=alias, verbosity=0, interactive=False)
        _MADE.add((label, alias))
    for model in apps.get_app_config(label).get_models():
        model._base_manager.using(alias).all().delete()


def told(*words: str) -> tuple[int, str]:
    """Return exit code and what `manage.py tasks import` said."""
    out = io.StringIO()
    try:
        call_command("tasks", "import", *words, stdout=out, stderr=out)
    except SystemExit as exc:
        return int(exc.code or 0), out.getvalue()
    except CommandError as exc:
        return exc.returncode, out.getvalue() + str(exc)
    return 0, out.getvalue()


def found(*words: str) -> dict[str, dict[str, Any]]:
    """Return what the import tells of each schedule, by name."""
    return {each["name"]: each for each in facts(*words)["found"]}


def facts(*words: str) -> Any:
    _code, text = told(*words, "--json")
    return json.loads(text)
