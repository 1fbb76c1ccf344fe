"""One task is stopped while it runs: its time is over, somebody cancels it, or its lease was lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks.bare_outcomes import lost_outcome
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import TaskCancelled, TaskTimeout
from reinhardt_tasks.jobs import Claim, Job, Succeeded, TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.queues import QueueConfig
from reinhardt_tasks.tasks import task
from tests.servers import wait_until

from .running import AT_ONCE, QUICK_LEASE, SOON, Clock, ended, enqueued, job_for, stored, working

#: Seconds that a task would run if nobody stopped it.
ENDLESS = 120.0
ONCE = BackendOptions(max_attempts=1, lease=QUICK_LEASE)


class Stage:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.go = threading.Event()


stage = Stage()


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    global stage
    stage = Stage()
    yield
    stage.go.set()


@pytest.fixture
def clock() -> Clock:
    return Clock(frozen=True)


@pytest.fixture
def broker(clock: Clock) -> MemoryBroker:
    # No lease runs out but by the clock's jumps.
    return MemoryBroker(now=clock)


def spin(seconds: float) -> None:
    """Run Python code for some time, as it is needed to be stopped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.001)


@task(timeout=0.1)
def run_too_long() -> None:
    stage.log.append("began")
    spin(ENDLESS)


@task(timeout=0.1)
async def run_too_long_later() -> None:
    stage.log.append("began")
    await asyncio.sleep(ENDLESS)


@task(timeout=0.1)
def clean_up() -> str:
    try:
        spin(ENDLESS)
    except TaskTimeout:
        stage.log.append("cleaned up")
        return "as if nothing had been"
    return "never"


@task(timeout=0.1)
async def clean_up_later() -> str:
    try:
        await asyncio.sleep(ENDLESS)
    except asyncio.CancelledError:
        stage.log.append("cleaned up")
        return "as if nothing had been"
    return "never"


@task
def run_on() -> None:
    stage.log.append("began")
    try:
        spin(ENDLESS)
    except TaskCancelled:
        stage.log.append("stopped")
        raise


@task
async def run_on_later() -> None:
    stage.log.append("began")
    try:
        await asyncio.sleep(ENDLESS)
    except asyncio.CancelledError:
        stage.log.append("stopped")
        raise


@task
def clean_up_slowly() -> None:
    stage.log.append("began")
    try:
        spin(ENDLESS)
    except TaskCancelled:
        try:
            # Longer than it takes until the next heartbeats.
            spin(4 * QUICK_LEASE / 3)
            stage.log.append("cleaned up")
        except TaskCancelled:
            stage.log.append("stopped again")
        raise


@task
def wait_for_go(value: int) -> int:
    stage.log.append(f"began {value}")
    assert stage.go.wait(60)
    return value


@task
def be_quick() -> None:
    pass


@task(timeout=0.3)
def spin_with_timeout() -> None:
    stage.log.append("began late")
    spin(ENDLESS)


FUNCTION_AND_COROUTINE = ["function", "coroutine"]


def began(number: int = 1) -> None:
    wait_until(lambda: stage.log.count("began") >= number, "the task begins", timeout=SOON)


# Timeouts


@pytest.mark.parametrize("endless", [run_too_long, run_too_long_later], ids=FUNCTION_AND_COROUTINE)
def test_a_task_beyond_its_time_fails_alone(broker: MemoryBroker, endless: Any) -> None:
    with working(broker, ONCE, concurrency=2):
        neighbour = enqueued(broker, wait_for_go, 7)
        (done,) = ended(broker, enqueued(broker, endless))
        stage.go.set()
        (beside,) = ended(broker, neighbour)
    assert done.status is TaskStatus.FAILURE
    assert done.history[0].exception == "reinhardt_tasks.exceptions.TaskTimeout"
    assert beside.result == "7"


@pytest.mark.parametrize("endless", [run_too_long, run_too_long_later], ids=FUNCTION_AND_COROUTINE)
def test_each_attempt_has_its_own_time(broker: MemoryBroker, endless: Any) -> None:
    with working(broker, BackendOptions(max_attempts=3, backoff=AT_ONCE)):
        (done,) = ended(broker, enqueued(broker, endless))
    assert [attempt.exception for attempt in done.history] == ["reinhardt_tasks.exceptions.TaskTimeout"] * 3
    assert stage.log == ["began"] * 3


@pytest.mark.parametrize("cleaning", [clean_up, clean_up_later], ids=FUNCTION_AND_COROUTINE)
def test_a_task_may_clean_up_and_has_failed_all_the_same(broker: MemoryBroker, cleaning: Any) -> None:
    with working(broker, ONCE):
        (done,) = ended(broker, enqueued(broker, cleaning))
    assert stage.log == ["cleaned up"]
    assert done.status is TaskStatus.FAILURE
    assert done.history[0].exception == "reinhardt_tasks.exceptions.TaskTimeout"


def test_the_backends_timeout_is_for_tasks_that_have_none(broker: MemoryBroker) -> None:
    with working(broker, BackendOptions(max_attempts=1, timeout=0.1)):
        (done,) = ended(broker, enqueued(broker, run_on))
    assert done.history[0].exception == "reinhardt_tasks.exceptions.TaskTimeout"


def test_a_queues_timeout_is_for_its_tasks_that_have_none(broker: MemoryBroker) -> None:
    rules = {"default": QueueConfig(max_retries=None, timeout=0.1)}
    with working(broker, BackendOptions(max_attempts=1, timeout=600, queues=rules)):
        (done,) = ended(broker, enqueued(broker, run_on))
    assert done.history[0].exception == "reinhardt_tasks.exceptions.TaskTimeout"


def test_a_slot_is_free_after_a_timeout(broker: MemoryBroker) -> None:
    with working(broker, ONCE, concurrency=1):
        ended(broker, *[enqueued(broker, run_too_long) for _ in range(3)])
        (done,) = ended(broker, enqueued(broker, be_quick))
    assert done.status is TaskStatus.SUCCESS


def test_the_time_of_a_task_begins_when_it_begins(broker: MemoryBroker) -> None:
    """What was claimed ahead waits here behind a long task: that is not its own time, and its own is kept afterwards."""
    with working(broker, ONCE, concurrency=1) as worker:
        ended(broker, *[enqueued(broker, be_quick) for _ in range(50)])
        # Short tasks so far: the worker takes all of these at once.
        long_one, late_one = job_for(wait_for_go, 1), job_for(spin_with_timeout)
        jobs = broker.enqueue([long_one, late_one, job_for(spin_with_timeout)])
        wait_until(lambda: len(worker.broker.heartbeat(worker.info).held) == 3, "all three are held", timeout=SOON)
        wait_until(lambda: "began 1" in stage.log, "the long one begins", timeout=SOON)
        behind = time.monotonic() + 2 * spin_with_timeout.timeout
        wait_until(lambda: time.monotonic() > behind, "the time of those behind would be over", timeout=SOON)
        assert stage.log == ["began 1"]
        stage.go.set()
        long, *late = ended(broker, *jobs)
    assert long.status is TaskStatus.SUCCESS
    assert stage.log == ["began 1", "began late", "began late"]
    assert {job.history[0].exception for job in late} == {"reinhardt_tasks.exceptions.TaskTimeout"}


# Cancelling


@pytest.mark.parametrize("endless", [run_on, run_on_later], ids=FUNCTION_AND_COROUTINE)
def test_a_running_task_is_cancelled(broker: MemoryBroker, endless: Any) -> None:
    with working(broker, ONCE) as worker:
        job = enqueued(broker, endless)
        began()
        assert broker.cancel([job.id]) == [job.id]
        (done,) = ended(broker, job)
    assert (worker.succeeded, worker.failed, worker.cancelled) == (0, 0, 1)
    assert stage.log == ["began", "stopped"]
    assert done.status is TaskStatus.CANCELLED
    assert done.history[0].exception == "reinhardt_tasks.exceptions.TaskCancelled"


def test_a_task_with_attempts_left_is_cancelled_all_the_same(broker: MemoryBroker) -> None:
    with working(broker, BackendOptions(max_attempts=9, backoff=AT_ONCE, lease=QUICK_LEASE)):
        job = enqueued(broker, run_on)
        began()
        broker.cancel([job.id])
        (done,) = ended(broker, job)
    assert done.status is TaskStatus.CANCELLED
    assert stage.log == ["began", "stopped"]


def test_a_task_that_cleans_up_is_not_stopped_twice(broker: MemoryBroker) -> None:
    with working(broker, ONCE):
        job = enqueued(broker, clean_up_slowly)
        began()
        broker.cancel([job.id])
        ended(broker, job)
    assert stage.log == ["began", "cleaned up"]


def test_a_cancelled_task_that_waits_behind_another_here_never_begins(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine too it is claimed ahead, and not given back before somebody has seen that.
    monkeypatch.setattr("reinhardt_tasks.worker.prefetch.AHEAD", 60)
    monkeypatch.setattr("reinhardt_tasks.worker.worker.LATE", 60)
    with working(broker, ONCE, concurrency=1) as worker:
        ended(broker, *[enqueued(broker, be_quick) for _ in range(50)])
        blocking, waiting = enqueued(broker, wait_for_go, 1), enqueued(broker, wait_for_go, 2)
        wait_until(lambda: len(worker.broker.heartbeat(worker.info).held) == 2, "both are held", timeout=SOON)
        broker.cancel([waiting.id])
        _let_beat(worker, 2)
        stage.go.set()
        one, two = ended(broker, blocking, waiting)
    assert one.status is TaskStatus.SUCCESS
    assert two.status is TaskStatus.CANCELLED
    assert stage.log == ["began 1"]


def _let_beat(worker: Any, times: int) -> None:
    """Return when the worker's own heartbeat has brought back its news some times."""
    seen: list[int] = []
    pulsed = worker._heartbeat._pulsed

    def listen(believed: Any, pulse: Any) -> None:
        pulsed(believed, pulse)
        seen.append(1)

    worker._heartbeat._pulsed = listen
    wait_until(lambda: len(seen) >= times, "the heart beats", timeout=SOON)


# Lost leases


def taken_over(broker: MemoryBroker, clock: Clock, job: Job) -> Claim:
    """Let the lease of whoever holds a job run out, and give it to another worker, all in one moment."""
    other = WorkerInfo(id="another worker", lease=QUICK_LEASE)
    with broker._lock:
        clock.jump(10 * QUICK_LEASE)
        broker.heartbeat(other)
        (rescued,) = broker.rescue(10, other)
    assert rescued.job.id == job.id
    return rescued


@pytest.mark.parametrize("endless", [run_on, run_on_later], ids=FUNCTION_AND_COROUTINE)
def test_a_task_whose_lease_was_lost_is_stopped_and_not_recorded(
    broker: MemoryBroker, clock: Clock, endless: Any
) -> None:
    with working(broker, ONCE) as worker:
        job = enqueued(broker, endless)
        began()
        rescued = taken_over(broker, clock, job)
        wait_until(lambda: stage.log == ["began", "stopped"], "the task is stopped", timeout=SOON)
        ended(broker, enqueued(broker, be_quick))
        assert stored(broker, job).status is TaskStatus.RUNNING
        assert broker.settle([Succeeded(claim=rescued, result='"of the other"')]) == []
    assert stored(broker, job).result == '"of the other"'
    assert (worker.succeeded, worker.failed) == (1, 0)


def test_an_outcome_that_comes_after_the_lease_is_not_recorded(broker: MemoryBroker, clock: Clock) -> None:
    with working(broker, BackendOptions(lease=3600)) as worker:
        job = enqueued(broker, wait_for_go, 1)
        wait_until(lambda: stage.log, "the task begins", timeout=SOON)
        other = WorkerInfo(id="another worker", lease=9e6)
        with broker._lock:
            clock.jump(7200)
            broker.heartbeat(other)
            (rescued,) = broker.rescue(10, other)
        stage.go.set()
        wait_until(lambda: not worker._ledger.held, "the worker is done with it", timeout=SOON)
        assert stored(broker, job).status is TaskStatus.RUNNING
        broker.settle([Succeeded(claim=rescued, result='"of the other"')])
    assert stored(broker, job).result == '"of the other"'
    assert worker.succeeded == 0


def test_a_worker_may_get_its_own_lost_task_again(broker: MemoryBroker, clock: Clock) -> None:
    """Suspended past its lease, it rescues its own task and claims it while the first run is still there."""
    with working(broker, ONCE, concurrency=2) as worker:
        job = enqueued(broker, clean_up_slowly)
        began()
        rescued = taken_over(broker, clock, job)
        broker.settle([lost_outcome(rescued, BackendOptions())])
        began(2)
        # The first run has ended, and took nothing of the second with it.
        wait_until(lambda: "cleaned up" in stage.log, "the first run ends", timeout=SOON)
        assert job.id in worker._running
        broker.cancel([job.id])
        (done,) = ended(broker, job)
    assert done.status is TaskStatus.CANCELLED
    assert done.token == 3
