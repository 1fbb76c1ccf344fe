"""The alias `default` on a database, for the tests of that backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.backends import DatabaseBackend
from reinhardt_tasks.models import JobRow

from . import chores

BACKEND = "reinhardt_tasks.backends.DatabaseBackend"


class Router:
    """Sends the tables of this app to a database that is not the default."""

    database: str | None = None

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self.database if model._meta.app_label == "reinhardt_tasks" else None

    db_for_write = db_for_read


@pytest.fixture
def backend(database_alias: str, settings: Any) -> Iterator[DatabaseBackend]:
    yield from backend_on(database_alias, settings)


@pytest.fixture(params=["option", "router"])
def chosen(
    request: pytest.FixtureRequest, database_alias: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DatabaseBackend]:
    """A backend whose database is not the default: its option says so, or the project's router."""
    if request.param == "option":
        yield from backend_on(database_alias, settings)
        return
    monkeypatch.setattr(Router, "database", database_alias)
    settings.DATABASE_ROUTERS = [f"{Router.__module__}.Router"]
    yield from backend_on(None, settings)


def backend_on(database: str | None, settings: Any) -> Iterator[DatabaseBackend]:
    settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"DATABASE": database}}}
    chores.noted.clear()
    backend: DatabaseBackend = task_backends["default"]
    yield backend
    backend.broker.close()


def number_seen_by_others(database: str) -> int:
    """Return how many tasks another connection sees."""
    other = connections[database].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {JobRow._meta.db_table}")
            return int(cursor.fetchone()[0])
    finally:
        other.close()


@pytest.fixture
def sqlite_backend(sqlite_database: str, settings: Any, django_db_blocker: Any) -> Iterator[DatabaseBackend]:
    """For what does not reach the database, or should not."""
    from tests.databases import emptied

    with django_db_blocker.unblock():
        emptied(sqlite_database)
        yield from backend_on(sqlite_database, settings)
