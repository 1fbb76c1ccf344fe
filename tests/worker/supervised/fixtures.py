"""Fixtures of all tests of worker processes; the conftest of each folder that has some makes them known there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from tests import databases
from tests.worker.processes import tasks_on


@pytest.fixture
def setting(sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[dict[str, Any]]:
    """An empty queue on an SQLite file. Its lease is so long that nothing here happens by its end."""
    with django_db_blocker.unblock():
        databases.emptied(sqlite_database)
        settings.TASKS = tasks_on(sqlite_database, LEASE=60)
        yield settings.TASKS
        task_backends["default"].broker.close()


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return tmp_path / "lines"


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return tmp_path / "go"
