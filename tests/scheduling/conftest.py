"""What the tests of schedules share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from tests.worker.processes import tasks_on

from .simulated import Simulation


@pytest.fixture
def anywhere(database_alias: str, settings: Any) -> Iterator[Simulation]:
    """Each database in turn; tasks and schedules lie in it together."""
    settings.TASKS = tasks_on(database_alias)
    yield Simulation(database_alias)
    task_backends["default"].broker.close()


@pytest.fixture
def simulation(anywhere: Simulation) -> Simulation:
    """The same; a module may put one database in its place."""
    return anywhere
