"""Two backends that keep nothing, ours and Django's own, and the tasks that are enqueued there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reinhardt_tasks._compat import BaseTaskBackend, task_backends
from reinhardt_tasks.contexts import TaskContext
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.tasks import task

OURS = "reinhardt_tasks.backends.DummyBackend"
#: Django's own dummy, or the backport's: a backend that knows nothing of us.
FOREIGN = BaseTaskBackend.__module__.removesuffix(".base") + ".dummy.DummyBackend"


@pytest.fixture(autouse=True)
def aliases(settings: Any) -> None:
    settings.TASKS = {
        "default": {"BACKEND": OURS, "QUEUES": ["default", "emails"]},
        "foreign": {"BACKEND": FOREIGN, "QUEUES": ["default", "emails"]},
    }


@pytest.fixture(params=["default", "foreign"])
def alias(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def enqueued(alias: str = "default") -> list[Any]:
    return list(task_backends[alias].results)


def add(a: int, b: int = 1) -> int:
    return a + b


async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def tell(context: TaskContext, *, rows: int) -> int:
    return rows


def no_context(rows: int) -> int:
    return rows


@task
def total(rows: dict[str, int]) -> int:
    return sum(rows.values())


@task(max_attempts=2, backoff=RetryStrategy.fixed_delay(5), retry_on=OSError, timeout=3, metadata={"team": "a"})
def double(a: int) -> int:
    """Return twice `a`."""
    return 2 * a
