from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from tests.worker.processes import tasks_on

from . import tasks


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    tasks.ran.clear()


@pytest.fixture
def setting(database_alias: str, settings: Any) -> Iterator[dict[str, Any]]:
    """Workflows and their steps in one database."""
    settings.TASKS = {
        **tasks_on(database_alias, LEASE=2.0),
        "immediate": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []},
        "dummy": {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "QUEUES": []},
    }
    yield settings.TASKS
    task_backends["default"].broker.close()
