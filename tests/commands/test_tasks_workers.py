"""`manage.py tasks workers`, and what `tasks status` tells of how much is done: on a database and on Redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Progress
from reinhardt_tasks.management.tasks_cli import status
from reinhardt_tasks.operations import Store
from tests.operations import chores
from tests.operations.stores import claim, database_store, fail, redis_store, store, succeed, worker

from .telling import data, told

__all__ = ["database_store", "redis_store", "store"]

MEGABYTE = 2**20


# workers


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
    assert "3 / 10 (30 %) half of them" in lines[1] and lines[1].startswith(second.job.name)

    (found,) = data("workers")["workers"]
    assert found["running"] == 3
    shown = found["tasks"][1]
    assert shown.pop("last_attempted_at").startswith(str(second.job.started_at)[:10])
    assert shown == {"id": second.job.id, "name": second.job.name, "queue": "default", "progress": [3, 10]}

    monkeypatch.setitem(operations.at_work.__globals__, "SHOWN", 1)
    assert told("workers")[1].splitlines()[-1] == "and 2 more"


# status


def test_status_tells_slots_and_what_ended_in_the_last_hour(store: Store) -> None:
    assert "ended in the last hour: 0\n" in told("status")[1]
    (backend,) = data("status")["backends"]
    assert (backend["slots"], backend["slots_busy"], backend["memory"]) == (0, 0, None)
    assert backend["last_hour"]["failure_rate"] is None
    by = replace(worker(), memory=100 * MEGABYTE)
    store.broker.heartbeat(by)
    chores.add.enqueue_many([((number,), {}) for number in range(5)])
    for end in (succeed, succeed, fail):
        end(store)
    claim(store, by=by)
    out = told("status")[1].splitlines()
    busy = next(line for line in out if line.startswith("slots busy"))
    # Those of the tests each take a task as a worker of their own.
    assert busy.startswith("slots busy: 1 of 16, memory: unknown")
    assert "ended in the last hour: 3, failed: 33.3 %" in out
    (backend,) = data("status")["backends"]
    assert (backend["slots"], backend["slots_busy"]) == (16, 1)
    assert backend["last_hour"] == {
        "succeeded": 2,
        "failed": 1,
        "cancelled": 0,
        "failure_rate": pytest.approx(1 / 3),
        "is_estimate": False,
    }


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let somebody watch for a minute; the value is what was asked of each store for its last hour."""
    asked: list[str] = []
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now > 60:
            raise KeyboardInterrupt

    def throughput(store: Store) -> Any:
        asked.append(store.alias)
        return operations.throughput(store)

    monkeypatch.setattr(status, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock.now))
    monkeypatch.setattr(status, "operations", SimpleNamespace(**{**vars(operations), "throughput": throughput}))
    yield asked


def test_who_watches_asks_for_the_last_hour_less_often(database_store: Store, watched: list[str]) -> None:
    code, out, _ = told("status", "--watch", "--interval", "1", "--json")
    assert (code, len(out.splitlines())) == (0, 61)
    assert watched == ["default"] * 7


def test_a_store_that_goes_away_between_two_questions_harms_nothing(
    database_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any) -> Any:
        raise QueueError("gone")

    monkeypatch.setattr(type(database_store.broker), "tally", gone)
    code, out, err = told("status")
    assert (code, err) == (0, "") and "ended" not in out
    assert data("status")["backends"][0]["last_hour"] is None
