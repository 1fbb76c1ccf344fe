"""A worker is told to stop: what runs may end, what has not begun is given back as if it had never been claimed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig
from tests.servers import wait_until

from .running import SOON, Door, ended, enqueued, stored, working


class Stage:
    def __init__(self) -> None:
        self.began: list[Any] = []
        self.go = threading.Event()


stage = Stage()


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    global stage
    stage = Stage()
    yield
    stage.go.set()


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@task
def wait_for_go(number: int) -> int:
    stage.began.append(number)
    assert stage.go.wait(60)
    return number


@task
async def wait_for_go_later(number: int) -> int:
    stage.began.append(number)
    while not stage.go.is_set():
        await asyncio.sleep(0.001)
    return number


@task
def be_quick() -> None:
    pass


def begun(number: int) -> None:
    wait_until(lambda: len(stage.began) == number, f"{number} tasks begin", timeout=SOON)


def stopping(worker: Worker) -> threading.Thread:
    worker.stop()
    wait_until(lambda: worker.is_stopping, "the worker stops", timeout=SOON)
    return next(thread for thread in threading.enumerate() if thread.name == "worker under test")


def ended_thread(thread: threading.Thread) -> None:
    thread.join(SOON)
    assert not thread.is_alive()


@pytest.mark.parametrize("waits", [wait_for_go, wait_for_go_later], ids=["functions", "coroutines"])
def test_what_runs_may_end(broker: MemoryBroker, waits: Any) -> None:
    jobs = [enqueued(broker, waits, number) for number in range(2)]
    with working(broker) as worker:
        begun(2)
        thread = stopping(worker)
        late = enqueued(broker, be_quick)
        stage.go.set()
        ended_thread(thread)
    assert {job.status for job in ended(broker, *jobs)} == {TaskStatus.SUCCESS}
    assert stored(broker, late).status is TaskStatus.PENDING
    assert not worker.was_forced
    assert worker.succeeded == 2


def test_what_has_not_begun_is_given_back_untouched(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine too some are claimed ahead, and what waits behind these tasks is not given back before the stop.
    monkeypatch.setattr("reinhardt_tasks.worker.prefetch.AHEAD", 60)
    monkeypatch.setattr("reinhardt_tasks.worker.worker.LATE", 60)
    with working(broker, concurrency=1) as worker:
        ended(broker, *[enqueued(broker, be_quick) for _ in range(50)])
        jobs = [enqueued(broker, wait_for_go, number) for number in range(4)]
        wait_until(lambda: len(worker._ledger.held) > 1, "some are held ahead", timeout=SOON)
        before = [stored(broker, job) for job in jobs]
        thread = stopping(worker)
        wait_until(lambda: len(worker._ledger.held) == 1, "the rest is given back", timeout=SOON)
        stage.go.set()
        ended_thread(thread)
    first, *rest = [stored(broker, job) for job in jobs]
    assert first.status is TaskStatus.SUCCESS
    assert {job.status for job in rest} == {TaskStatus.PENDING}
    assert all(job.history == () for job in rest)
    assert [job.due_at for job in rest] == [job.due_at for job in before[1:]]
    assert stage.began == [0]


@pytest.mark.parametrize("waits", [wait_for_go, wait_for_go_later], ids=["functions", "coroutines"])
def test_a_second_stop_gives_back_what_runs(broker: MemoryBroker, waits: Any) -> None:
    jobs = [enqueued(broker, waits, number) for number in range(2)]
    with working(broker) as worker:
        begun(2)
        thread = stopping(worker)
        worker.stop()
        ended_thread(thread)
        given_back = [stored(broker, job) for job in jobs]
    assert worker.was_forced
    assert [(job.status, job.history) for job in given_back] == [(TaskStatus.PENDING, ())] * 2
    assert broker.workers() == []
    with working(broker):
        stage.go.set()
        again = ended(broker, *jobs)
    assert [job.status for job in again] == [TaskStatus.SUCCESS] * 2
    assert [job.token for job in again] == [2, 2]


def test_the_time_for_running_tasks_ends(broker: MemoryBroker) -> None:
    job = enqueued(broker, wait_for_go, 1)
    with working(broker, shutdown_timeout=0.1) as worker:
        begun(1)
        ended_thread(stopping(worker))
        assert stored(broker, job).status is TaskStatus.PENDING
    assert worker.was_forced


def test_an_idle_worker_stops_at_once(broker: MemoryBroker) -> None:
    with working(broker, shutdown_timeout=3600, poll_interval=3600) as worker:
        ended(broker, enqueued(broker, be_quick))
        ended_thread(stopping(worker))
    assert not worker.was_forced


def test_a_worker_that_was_stopped_before_it_began_claims_nothing(broker: MemoryBroker) -> None:
    job = enqueued(broker, be_quick)
    worker = Worker(broker, BackendOptions(), Door, WorkerConfig())
    worker.stop()
    worker.run()
    assert stored(broker, job).status is TaskStatus.PENDING


class GoneAtTheEnd(MemoryBroker):
    """Answers until it is told to be gone."""

    is_gone = False

    def settle(self, outcomes: Any) -> Any:
        if self.is_gone:
            raise QueueError("gone")
        return super().settle(outcomes)

    def leave(self, worker: Any) -> None:
        if self.is_gone:
            raise QueueError("gone")
        super().leave(worker)


def test_a_worker_stops_without_its_store(caplog: pytest.LogCaptureFixture) -> None:
    broker = GoneAtTheEnd()
    job = enqueued(broker, wait_for_go, 1)
    with working(broker, shutdown_timeout=0.5) as worker:
        begun(1)
        broker.is_gone = True
        thread = stopping(worker)
        stage.go.set()
        ended_thread(thread)
    # The lease sees to it.
    assert stored(broker, job).status is TaskStatus.RUNNING
    assert "could not be settled" in caplog.text


def test_no_thread_of_a_worker_is_left(broker: MemoryBroker) -> None:
    before = set(threading.enumerate())
    with working(broker):
        stage.go.set()
        ended(broker, enqueued(broker, be_quick), enqueued(broker, wait_for_go_later, 1))

    def ours() -> set[threading.Thread]:
        return {each for each in set(threading.enumerate()) - before if each.name.startswith("reinhardt")}

    wait_until(lambda: not ours(), "the worker's threads end", timeout=SOON)
