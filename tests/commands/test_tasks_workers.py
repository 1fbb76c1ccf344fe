"""`manage.py tasks workers`, on a database and on Redis."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks.jobs import Progress
from reinhardt_tasks.operations import Store
from tests.operations import chores
from tests.operations.stores import claim, database_store, redis_store, store, worker

from .telling import data, told

__all__ = ["database_store", "redis_store", "store"]

MEGABYTE = 2**20


def test_a_workers_memory_and_beginning_are_told(store: Store) -> None:
    store.broker.heartbeat(replace(worker("new"), memory=200 * MEGABYTE))
    store.broker.heartbeat(worker("old"))
    out = told("workers")[1]
    title, *lines = out.splitlines()
    assert "memory" in title and "started" in title
    assert ["200.0 MB" in line for line in sorted(lines, reverse=True)] == [False, True]
    assert ["unknown" in line for line in sorted(lines, reverse=True)] == [True, False]
    found = {each["name"]: each for each in data("workers")["workers"]}
    assert (found["new"]["memory"], found["old"]["memory"]) == (200 * MEGABYTE, None)
    assert found["new"]["started_at"] and found["new"]["tasks"] == []


def test_a_workers_tasks_stand_below_with_how_far_they_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    by = worker("mailer")
    chores.add.enqueue_many([((number,), {}) for number in range(3)])
    first, second, third = (claim(store, by=by) for _ in range(3))
    store.broker.annotate(second, {}, Progress(3, 10, "half of them"))
    _, tasks = told("workers")[1].split("\n\n")
    title, *lines = tasks.splitlines()
    assert title.split() == ["task", "started", "progress", "id", "worker"]
    assert [line.split()[-2:] for line in lines] == [[each.job.id, by.id] for each in (third, second, first)]
    assert "3 / 10 half of them" in lines[1] and lines[1].startswith(second.job.name)

    (found,) = data("workers")["workers"]
    assert found["running"] == 3
    shown = found["tasks"][1]
    assert shown.pop("last_attempted_at").startswith(str(second.job.started_at)[:10])
    assert shown == {"id": second.job.id, "name": second.job.name, "queue": "default", "progress": [3, 10]}

    monkeypatch.setitem(operations.at_work.__globals__, "SHOWN", 1)
    assert told("workers")[1].splitlines()[-1] == "and 2 more"
