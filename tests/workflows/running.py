"""Workers in this process, and what must hold of every workflow, whatever happened to it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from django.db import connections

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.execution import Execution
from reinhardt_tasks.jobs import Claim, Outcome
from reinhardt_tasks.models import StepRow, WorkflowRow
from reinhardt_tasks.workflow_states import StepStatus
from reinhardt_tasks.workflows import WorkflowRun
from reinhardt_tasks.workflows.places import database
from tests import databases
from tests.backends.working import work_off
from tests.servers import RedisServer
from tests.worker.processes import tasks_on

KINDS = ["sqlite", "postgres", "mariadb", "redis"]


@contextmanager
def on_store(kind: str, request: pytest.FixtureRequest, lease: float) -> Iterator[dict[str, Any]]:
    """Steps and workflows in one database; or steps in Redis, and their workflows on PostgreSQL."""
    database_alias = request.getfixturevalue(f"{'postgres' if kind == 'redis' else kind}_database")
    # On a busy machine a short lease runs out now and then: that takes no step down.
    tasks = tasks_on(database_alias, LEASE=lease, MAX_LOST=100)
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.client().flushall()
        tasks["default"]["BACKEND"] = "reinhardt_tasks.backends.RedisBackend"
        tasks["default"]["OPTIONS"]["URL"] = server.url
    with request.getfixturevalue("django_db_blocker").unblock():
        databases.emptied(database_alias)
        request.getfixturevalue("settings").TASKS = tasks
        yield tasks
        task_backends["default"].broker.close()


def worked_off(run: WorkflowRun, *aliases: str, **config: Any) -> WorkflowRun:
    """Run all that is ready on these aliases, until nothing is."""
    for alias in aliases or ("default",):
        work_off(task_backends[alias], **config)
    return run.refresh()


class ByHand:
    """A worker whose steps are taken one by one."""

    def __init__(self, name: str, alias: str = "default", lease: float = 30.0) -> None:
        self.backend: Any = task_backends[alias]
        self.info = WorkerInfo(id=name, lease=lease)

    def claim(self, limit: int = 1) -> list[Claim]:
        claims: list[Claim] = self.backend.broker.claim(None, limit, self.info)
        return claims

    def run(self, claim: Claim) -> Outcome:
        return Execution(claim, self.backend.settings, type(self.backend), self.backend.broker.annotate).run()

    def settle(self, *outcomes: Outcome) -> list[Claim]:
        lost: list[Claim] = self.backend.broker.settle(outcomes)
        return lost

    def dies(self) -> None:
        self.backend.broker.leave(self.info)


def at_once(*works: Callable[[], object]) -> None:
    """Do several things, each in a thread, at one moment."""
    barrier = threading.Barrier(len(works))

    def race(work: Callable[[], object]) -> None:
        try:
            barrier.wait()
            work()
        finally:
            connections[database()].close()

    threads = [threading.Thread(target=race, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_twice_at_once() -> None:
    """Have the next step run by two workers at one moment, of which one has lost its lease."""
    one, other = ByHand("racer 0"), ByHand("racer 1")
    (claim,) = one.claim()
    at_once(partial(one.run, claim), partial(other.run, claim))


def is_sound(run: WorkflowRun) -> None:
    """Fail unless each step was counted exactly once by what follows it, and nothing is left that could be done."""
    rows = {row.position: row for row in StepRow.objects.using(database()).filter(workflow_id=run.id)}
    missing = Counter(follower for row in rows.values() if not row.is_through for follower in json.loads(row.followers))
    for row in rows.values():
        assert row.open_needs == missing[row.position], (
            f"{row.position}: {row.open_needs} open, {missing[row.position]} to come"
        )
    if WorkflowRow.objects.using(database()).get(pk=run.id).status == "COMPLETED":
        assert all(row.is_through and StepStatus(row.status).is_finished for row in rows.values())
        assert all(row.look_at is None for row in rows.values())
