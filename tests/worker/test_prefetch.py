"""How much a worker claims ahead: much of what is short, nothing of what is long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from reinhardt_tasks.brokers.base import Queues, Room, WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Claim
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker.prefetch import AHEAD, MOST, Prefetch
from tests.servers import wait_until

from .running import SOON, ended, enqueued, job_for, working

go = threading.Event()
began: list[int] = []


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    global go
    go = threading.Event()
    began.clear()
    yield
    go.set()


@task
def be_quick() -> None:
    pass


@task
def wait_for_go() -> None:
    began.append(1)
    assert go.wait(60)


@task
def be_slow() -> None:
    deadline = time.monotonic() + 2 * AHEAD
    while time.monotonic() < deadline:
        time.sleep(0.001)


def learned(*seconds: float, concurrency: int = 4) -> Prefetch:
    prefetch = Prefetch(concurrency)
    for each in seconds:
        prefetch.note(each)
    return prefetch


def test_nothing_is_claimed_ahead_before_anything_is_known() -> None:
    assert Prefetch(4).extra() == 0


def test_work_for_a_moment_is_claimed_ahead() -> None:
    assert learned(0.001).extra() == int(AHEAD * 4 / 0.001)
    assert learned(0.01, concurrency=1).extra() == 3


def test_there_is_a_most() -> None:
    assert learned(0.0).extra() == learned(1e-9).extra() == MOST


@pytest.mark.parametrize("seconds", [0.3, 5.0, 3600.0])
def test_long_tasks_are_claimed_one_a_slot(seconds: float) -> None:
    assert learned(seconds).extra() == 0


def test_a_long_task_is_believed_at_once() -> None:
    assert learned(*[0.0005] * 100, 1.2 * AHEAD, concurrency=1).extra() == 0


def test_a_short_one_is_believed_by_and_by() -> None:
    prefetch = learned(10.0)
    extras = []
    for _ in range(100):
        prefetch.note(0.001)
        extras.append(prefetch.extra())
    assert extras[0] == 0
    assert extras == sorted(extras)
    assert extras[-1] > 10


def test_a_little_noise_changes_little() -> None:
    assert learned(*[0.001] * 50, 0.01).extra() > 50


class Asked(MemoryBroker):
    """Remembers for how many jobs it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []

    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        self.limits.append(Room.of(limit).for_kind(False))
        return super().claim(queues, limit, worker)


def test_a_worker_claims_short_tasks_ahead_and_no_more_than_it_may() -> None:
    broker = Asked()
    with working(broker, concurrency=2):
        ended(broker, *[enqueued(broker, be_quick) for _ in range(200)])
        jobs = broker.enqueue([job_for(wait_for_go) for _ in range(2 * MOST)])
        wait_until(lambda: len(began) == 2, "both threads are taken", timeout=SOON)
        go.set()
        ended(broker, *jobs)
    assert 2 < max(broker.limits) <= 2 + MOST


def test_a_worker_claims_long_tasks_one_a_slot() -> None:
    broker = MemoryBroker()
    with working(broker, concurrency=2) as worker:
        ended(broker, *[enqueued(broker, be_slow) for _ in range(2)])
        jobs = [enqueued(broker, wait_for_go) for _ in range(20)]
        wait_until(lambda: len(began) == 2, "both threads are taken", timeout=SOON)
        assert len(worker._ledger.held) == 2
        go.set()
        ended(broker, *jobs)


def test_what_was_claimed_ahead_of_long_tasks_goes_to_whoever_is_idle() -> None:
    broker = MemoryBroker()
    with working(broker, concurrency=1):
        ended(broker, *[enqueued(broker, be_quick) for _ in range(200)])
        jobs = broker.enqueue([job_for(wait_for_go) for _ in range(20)])
        with working(broker, concurrency=19):
            wait_until(lambda: len(began) == 20, "each has a thread", timeout=SOON)
            go.set()
            ended(broker, *jobs)


def test_less_is_claimed_ahead_when_it_was_too_much() -> None:
    prefetch = learned(*[0.001] * 50)
    before = prefetch.extra()
    prefetch.was_too_much(0.0)
    assert 0 < prefetch.extra() <= before / 2
    prefetch.was_too_much(1.0)
    assert prefetch.extra() == 0
