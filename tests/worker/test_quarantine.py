"""A task that was lost with several workers runs alone, so that it is failed by its own doing only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Attempt, Claim, Job, TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig
from reinhardt_tasks.worker.quarantine import ALONE, Quarantine
from tests.servers import wait_until

from .running import SOON, Door, ended, enqueued, maintenance_of, working

OPTIONS = BackendOptions(max_lost=3)


class Stage:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[str] = set()
        self.begun: list[str] = []
        self.seen_by_suspect: list[set[str]] = []
        self.barrier = threading.Barrier(4)
        self.go = threading.Event()


stage = Stage()


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    global stage
    stage = Stage()
    yield
    stage.go.set()


@task
def work(name: str) -> None:
    with stage.lock:
        stage.running.add(name)
        stage.begun.append(name)
    time.sleep(0.002)
    with stage.lock:
        stage.running.discard(name)


@task
def look_around(looks: int) -> None:
    """Note who else runs, again and again: long enough for others to begin, if they may."""
    with stage.lock:
        stage.begun.append("suspect")
    for _ in range(looks):
        with stage.lock:
            stage.seen_by_suspect.append(set(stage.running))
        time.sleep(0.001)


@task
def wait_for_go() -> None:
    with stage.lock:
        stage.running.add("long")
    assert stage.go.wait(60)
    with stage.lock:
        stage.running.discard("long")


@task
def meet() -> None:
    stage.barrier.wait(60)


def lost_before(broker: MemoryBroker, times: int) -> Job:
    """Return a waiting task that was with so many workers that were lost."""
    job = enqueued(broker, look_around, 50)
    rescuer = WorkerInfo(id=new_id())
    for _ in range(times):
        victim = WorkerInfo(id=new_id())
        (claim,) = broker.claim(None, 10, victim)
        assert claim.job.id == job.id
        broker.leave(victim)
        assert maintenance_of(broker, rescuer, OPTIONS).rescue() == 1
    return broker.get([job.id])[job.id]


def test_a_suspect_runs_alone() -> None:
    broker = MemoryBroker()
    suspects = [lost_before(broker, 2)]
    others = [enqueued(broker, work, str(number)) for number in range(200)]
    with working(broker, OPTIONS, concurrency=4):
        done = ended(broker, *suspects, *others)
    assert {job.status for job in done} == {TaskStatus.SUCCESS}
    assert stage.seen_by_suspect == [set()] * 50
    assert {job.losses for job in done} == {0, 2}


def test_a_suspect_waits_until_others_have_ended() -> None:
    broker = MemoryBroker()
    suspect = lost_before(broker, 2)
    broker.pause("default")
    with working(broker, OPTIONS, concurrency=4):
        long = enqueued(broker, wait_for_go.using(queue_name="other"))
        wait_until(lambda: stage.running, "it runs", timeout=SOON)
        broker.resume("default")
        wait_until(lambda: broker.get([suspect.id])[suspect.id].token > suspect.token, "it is claimed", timeout=SOON)
        stage.go.set()
        done = ended(broker, long, suspect)
    assert {job.status for job in done} == {TaskStatus.SUCCESS}
    assert stage.seen_by_suspect == [set()] * 50


def test_one_loss_is_allowed_and_nobody_is_suspected_before_the_first() -> None:
    broker = MemoryBroker()
    jobs = [enqueued(broker, meet) for _ in range(4)]
    with working(broker, BackendOptions(max_lost=1), concurrency=4):
        assert {job.status for job in ended(broker, *jobs)} == {TaskStatus.SUCCESS}


def test_a_suspect_that_was_given_back_unbegun_is_not_waited_for() -> None:
    broker = MemoryBroker()
    suspect = lost_before(broker, 2)
    worker = Worker(broker, OPTIONS, Door, WorkerConfig(concurrency=1, burst=True))
    # Its thread is slow to rise, as on a machine that has much else to do.
    with worker._crew.threads._news:
        worker._settle_and_claim()
        worker._give_back(worker._crew.threads.take_back())
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        assert [job.status for job in ended(broker, suspect)] == [TaskStatus.SUCCESS]
    finally:
        worker.stop()
        thread.join(10)


# The decisions


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def claim(losses: int = 0) -> Claim:
    attempt = Attempt(worker="lost", started_at=None, finished_at=None, exception="x", traceback="", lost=True)
    job = Job(id=new_id(), name="name", payload="[[],{}]", backend="default", history=(attempt,) * losses)
    return Claim(job=job, token=1, worker="me")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quarantine(clock: Clock) -> Quarantine:
    return Quarantine(3, clock)


def test_what_came_with_a_suspect_is_given_back(quarantine: Quarantine) -> None:
    claims = [claim(), claim(2), claim(1), claim(2)]
    assert quarantine.admit(claims, is_busy=False) == ([claims[1]], [claims[0], claims[2], claims[3]])
    assert quarantine.is_closed(is_busy=True)
    quarantine.ended(claims[1].job.id)
    assert not quarantine.is_closed(is_busy=False)


def test_a_busy_worker_gives_a_suspect_back_and_becomes_idle(quarantine: Quarantine) -> None:
    other, suspect = claim(), claim(2)
    assert quarantine.admit([other, suspect], is_busy=True) == ([other], [suspect])
    assert quarantine.is_closed(is_busy=True)
    assert not quarantine.is_closed(is_busy=False)
    assert quarantine.admit([suspect], is_busy=False) == ([suspect], [])


def test_a_long_task_delays_a_suspect_only_for_a_while(quarantine: Quarantine, clock: Clock) -> None:
    suspect = claim(2)
    quarantine.admit([suspect], is_busy=True)
    clock.time += ALONE
    assert not quarantine.is_closed(is_busy=True)
    other = claim()
    assert quarantine.admit([suspect, other], is_busy=True) == ([other, suspect], [])


def test_a_long_suspect_keeps_others_out_only_for_a_while(quarantine: Quarantine, clock: Clock) -> None:
    quarantine.admit([claim(2)], is_busy=False)
    clock.time += ALONE
    assert not quarantine.is_closed(is_busy=True)
    other, second = claim(), claim(2)
    assert quarantine.admit([other, second], is_busy=True) == ([other], [second])


def test_a_suspect_that_went_elsewhere_is_not_waited_for(quarantine: Quarantine) -> None:
    quarantine.admit([claim(2)], is_busy=True)
    other = claim()
    assert quarantine.admit([other], is_busy=False) == ([other], [])
    assert not quarantine.is_closed(is_busy=True)
