"""Databases beside `default`, added to Django while the tests run: a server is only started for tests that ask for one.

A test gets them by the fixture `database_alias`. It may commit: its rows are deleted before the next one. It must not be
marked `django_db`, since Django's own test cases take stock of the connections before these are there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connections, models

#: Apps whose rows are deleted between the tests.
EMPTIED_APPS = ("reinhardt_tasks", "tests")


def name_of_this_process() -> str:
    """Return a database name that no other test process takes, also on a server that several of them share."""
    return f"reinhardt_test_{os.getpid()}"


@contextmanager
def added(alias: str, settings: dict[str, Any], blocker: Any) -> Iterator[str]:
    """Make `alias` known to Django, with all tables in it; forget it at the end. `blocker` is pytest-django's."""
    with known(alias, settings):
        with blocker.unblock():
            call_command("migrate", database=alias, run_syncdb=True, verbosity=0, interactive=False)
        yield alias


@contextmanager
def known(alias: str, settings: dict[str, Any]) -> Iterator[None]:
    """Make `alias` known to Django, as it is; forget it at the end."""
    connections.databases[alias] = _completed(settings)
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]


def emptied(alias: str) -> None:
    """Delete every row of the apps under test, and commit."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        for table in _tables():
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


def environment_for_processes() -> dict[str, str]:
    """Return the environment in which another process with `tests.settings` meets the databases of this one."""
    known = {alias: connections[alias].settings_dict for alias in connections}
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "REINHARDT_TEST_DATABASES": json.dumps(known, default=str),
    }


def _completed(settings: dict[str, Any]) -> dict[str, Any]:
    # Django fills in its defaults once, when it first reads DATABASES.
    completed: dict[str, Any] = connections.configure_settings({"default": settings})["default"]
    return completed


@cache
def _tables() -> list[str]:
    return [model._meta.db_table for model in _children_first()]


def _children_first() -> list[type[models.Model]]:
    left = [model for app in EMPTIED_APPS for model in apps.get_app_config(app).get_models()]
    ordered = []
    while left:
        parents = {field.related_model for model in left for field in model._meta.fields if field.related_model}
        # One that points at nothing but itself, or a ring, goes as it comes.
        model = next((model for model in left if model not in parents), left[0])
        left.remove(model)
        ordered.append(model)
    return ordered
