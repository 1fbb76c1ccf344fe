"""What each worker runs, and what a store's workers have together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks.jobs import Progress
from reinhardt_tasks.operations import Store, at_work, overview

from . import chores
from .stores import claim, worker

MEGABYTE = 2**20


def test_each_worker_has_the_tasks_that_it_runs(store: Store) -> None:
    one, other = worker("a"), worker("b")
    chores.add.enqueue_many([((number,), {}) for number in range(4)])
    held = [claim(store, by=by) for by in (one, other, one)]
    store.broker.annotate(held[0], {}, Progress(3, 10, "on its way"))
    found = {each.worker.id: each for each in at_work().workers}
    assert [task.id for task in found[one.id].tasks] == [held[2].job.id, held[0].job.id]
    assert found[one.id].tasks[1].progress == Progress(3, 10, "on its way")
    assert [task.id for task in found[other.id].tasks] == [held[1].job.id]
    assert found[one.id].number_left == found[other.id].number_left == 0


def test_of_many_tasks_the_newest_are_named_and_the_rest_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(at_work.__globals__, "SHOWN", 2)
    by = worker()
    chores.add.enqueue_many([((number,), {}) for number in range(5)])
    held = [claim(store, by=by) for _ in range(5)]
    (found,) = at_work().workers
    assert [task.id for task in found.tasks] == [claim.job.id for claim in held[:2:-1]]
    assert (found.worker.running, found.number_left) == (5, 3)


def test_a_store_has_the_slots_and_the_memory_of_its_living_workers(store: Store) -> None:
    def together() -> tuple[int, int, int | None]:
        (found,) = overview()
        return found.slots_busy, found.slots, found.memory

    assert together() == (0, 0, None)
    some, more, gone = worker("some"), worker("more"), worker("gone")
    store.broker.heartbeat(replace(some, memory=100 * MEGABYTE))
    store.broker.heartbeat(replace(more, memory=50 * MEGABYTE))
    chores.add.enqueue_many([((number,), {}) for number in range(3)])
    claim(store, by=more)
    store.broker.heartbeat(replace(gone, memory=7 * MEGABYTE))
    claim(store, by=gone)
    store.broker.leave(gone)
    assert together() == (1, 8, 150 * MEGABYTE)

    # One of a release that does not tell: no sum would be true.
    store.broker.heartbeat(worker("older"))
    assert together() == (1, 12, None)
    assert sorted(each.memory or 0 for each in operations.workers().workers if each.is_alive) == [
        0,
        50 * MEGABYTE,
        100 * MEGABYTE,
    ]
