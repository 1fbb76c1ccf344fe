"""A worker that leaves after so many tasks counts those that it ran, and none that it gave back unbegun."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Job, Released, TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker
from tests.servers import wait_until

from .running import SOON, enqueued, job_for, maintenance_of, run_all, stored, working

OPTIONS = BackendOptions(max_lost=2)

go = threading.Event()


@pytest.fixture(autouse=True)
def not_yet() -> Iterator[None]:
    go.clear()
    yield
    go.set()


class Counting(MemoryBroker):
    """Knows how many claims were given back."""

    given_back = 0

    def _settle(self, outcome: object) -> bool:
        self.given_back += isinstance(outcome, Released)
        return super()._settle(outcome)  # type: ignore[arg-type]


@pytest.fixture
def broker() -> Counting:
    return Counting()


@task
def wait_for_go() -> None:
    assert go.wait(60)


@task
def be_quick() -> None:
    pass


def leaves_after(worker: Worker, broker: Counting, jobs: list[Job], number: int) -> None:
    """Expect a worker to leave by itself after this many of the jobs, with nothing in its hands."""
    wait_until(lambda: worker.info.id not in _ids(broker), "the worker leaves", timeout=SOON)
    assert not worker.is_told_to_stop
    assert worker.succeeded == number
    assert sum(stored(broker, job).status is TaskStatus.SUCCESS for job in jobs) == number
    assert not any(stored(broker, job).status is TaskStatus.RUNNING for job in jobs)


def test_what_a_suspect_is_given_back_for_counts_nothing(broker: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reinhardt_tasks.worker.worker.SUSPECT_DELAY", 0.0)
    suspect = lost_once(broker)
    broker.pause("default")
    with working(broker, OPTIONS, concurrency=2, max_tasks=3) as worker:
        jobs = [suspect, enqueued(broker, wait_for_go.using(queue_name="other"))]
        wait_until(lambda: worker.vitals().running, "it runs", timeout=SOON)
        broker.resume("default")
        wait_until(lambda: broker.given_back, "the suspect is given back", timeout=SOON)
        jobs += [enqueued(broker, be_quick) for _ in range(5)]
        go.set()
        leaves_after(worker, broker, jobs, 3)


def lost_once(broker: MemoryBroker) -> Job:
    """Return a waiting task that fails when it loses one more worker."""
    job = enqueued(broker, be_quick)
    victim = WorkerInfo(id=new_id())
    broker.claim(None, 10, victim)
    broker.leave(victim)
    assert maintenance_of(broker, WorkerInfo(id=new_id()), OPTIONS).rescue() == 1
    return stored(broker, job)


def test_what_waits_behind_a_long_task_and_is_given_back_counts_nothing(broker: Counting) -> None:
    jobs = [enqueued(broker, be_quick) for _ in range(50)]
    with working(broker, concurrency=1, max_tasks=60) as worker:
        wait_until(lambda: worker.succeeded == 50, "much is short", timeout=SOON)
        jobs += broker.enqueue([job_for(each) for each in [wait_for_go, *[be_quick] * 20]])
        wait_until(lambda: broker.given_back, "what waits is given back", timeout=SOON)
        go.set()
        leaves_after(worker, broker, jobs, 60)


def test_what_is_not_known_here_counts_nothing(broker: Counting) -> None:
    unknown = [replace(job_for(be_quick), name="not.known", enqueued_at=datetime.now(UTC)) for _ in range(4)]
    broker.enqueue(unknown)
    known = [enqueued(broker, be_quick) for _ in range(5)]
    worker = run_all(broker, burst=False, max_tasks=3)
    assert broker.given_back == 4
    assert worker.succeeded == 3
    assert sum(stored(broker, job).status is TaskStatus.SUCCESS for job in known) == 3


def _ids(broker: MemoryBroker) -> list[str]:
    return [record.info.id for record in broker.workers()]
