"""Threads that are all taken keep no coroutine waiting, coroutines that are as many as may be keep no function waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker, Room
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Claim, Job, Succeeded, TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig, listener
from reinhardt_tasks.worker.kinds import ASK_AGAIN, PATIENCE, Hopes, misfits
from tests.brokers.redis_makers import Make, make
from tests.servers import wait_until

from .running import SOON, Door, ended, enqueued, job_for, run_all, stored, working

__all__ = ["make"]


class Stage:
    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[str] = []


stage = Stage()


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    global stage
    stage = Stage()
    yield
    stage.go.set()


@task
def hold_thread() -> None:
    stage.begun.append("function")
    assert stage.go.wait(60)


@task
async def hold_loop() -> None:
    stage.begun.append("coroutine")
    while not stage.go.is_set():
        await asyncio.sleep(0.005)


@task
def run_at_once() -> str:
    return threading.current_thread().name


@task
async def run_at_once_in_loop() -> str:
    return threading.current_thread().name


def held(broker: Broker, long: Any, number: int) -> list[Job]:
    """Return jobs of which two run and hold what they run in, while the others wait in the store."""
    jobs = [enqueued(broker, long) for _ in range(number)]
    wait_until(lambda: len(stage.begun) == 2, "there is no more room", timeout=SOON)
    return jobs


class AnyStore:
    """What is promised with every store."""

    @pytest.mark.parametrize("waiting", [0, 3])
    def test_busy_threads_keep_no_coroutine_waiting(self, broker: Broker, waiting: int) -> None:
        with working(broker, concurrency=2, async_concurrency=5):
            long = held(broker, hold_thread, 2 + waiting)
            ended(broker, *[enqueued(broker, run_at_once_in_loop) for _ in range(12)])
            ended(broker, *broker.enqueue([job_for(run_at_once_in_loop) for _ in range(12)]))
            assert stage.begun == ["function"] * 2
            stage.go.set()
            ended(broker, *long)

    @pytest.mark.parametrize("waiting", [0, 3])
    def test_a_full_loop_keeps_no_function_waiting(self, broker: Broker, waiting: int) -> None:
        with working(broker, concurrency=2, async_concurrency=2):
            long = held(broker, hold_loop, 2 + waiting)
            ended(broker, *[enqueued(broker, run_at_once) for _ in range(12)])
            ended(broker, *broker.enqueue([job_for(run_at_once) for _ in range(12)]))
            assert stage.begun == ["coroutine"] * 2
            stage.go.set()
            ended(broker, *long)

    def test_what_waits_behind_the_other_kind_is_found(self, broker: Broker) -> None:
        before = broker.enqueue([job_for(hold_thread) for _ in range(50)])
        behind = broker.enqueue([job_for(run_at_once_in_loop) for _ in range(3)])
        with working(broker, concurrency=2):
            ended(broker, *behind)
            stage.go.set()
            ended(broker, *before)

    def test_threads_that_are_free_again_hear_of_functions(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nobody looks by itself.
        monkeypatch.setattr(listener, "NAP", 3600.0)
        monkeypatch.setattr("reinhardt_tasks.brokers.redis.sleeping.NAP", 3600.0)
        with working(broker, concurrency=2, poll_interval=0.2) as worker:
            long = held(broker, hold_thread, 3)
            wait_until(lambda: worker._listener._kinds == (True,), "it listens for coroutines", timeout=SOON)
            stage.go.set()
            ended(broker, *long)
            wait_until(lambda: worker._listener.listens_for((False, True)), "it listens for both", timeout=SOON)
            ended(broker, enqueued(broker, run_at_once))


class TestInMemory(AnyStore):
    @pytest.fixture
    def broker(self) -> Broker:
        return MemoryBroker()


class TestInDatabases(AnyStore):
    @pytest.fixture
    def broker(self, database_alias: str) -> Iterator[Broker]:
        broker = DatabaseBroker("default", database_alias)
        yield broker
        broker.close()


class TestInRedis(AnyStore):
    @pytest.fixture
    def broker(self, redis_server: Any, make: Make) -> Broker:
        broker: Broker = make(redis_server.url)
        return broker


class TestInShards(AnyStore):
    @pytest.fixture
    def broker(self, redis_server: Any, make: Make) -> Broker:
        broker: Broker = make(redis_server.url, shards=3)
        return broker


# Jobs whose code is of the other kind since they were enqueued, or of which no kind was known


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


def under_the_other(task_: Any) -> Job:
    job = job_for(task_)
    return replace(job, is_async=not job.is_async)


def test_a_job_under_the_wrong_kind_runs_where_its_code_belongs(broker: MemoryBroker) -> None:
    jobs = broker.enqueue([under_the_other(run_at_once), under_the_other(run_at_once_in_loop)])
    with working(broker):
        function, coroutine = ended(broker, *jobs)
    assert (function.status, coroutine.status) == (TaskStatus.SUCCESS, TaskStatus.SUCCESS)
    assert "reinhardt-task-" in str(function.result) and "reinhardt-loop" in str(coroutine.result)


@pytest.mark.parametrize("long", [hold_thread, hold_loop])
def test_a_job_under_the_wrong_kind_goes_to_the_others_where_there_is_no_room(broker: MemoryBroker, long: Any) -> None:
    with working(broker, concurrency=2, async_concurrency=2) as worker:
        jobs = held(broker, long, 2)
        (misfit,) = broker.enqueue([under_the_other(long)])
        wait_until(lambda: stored(broker, misfit).is_async is (long is hold_loop), "it lies right", timeout=SOON)
        wait_until(lambda: len(worker._ledger.held) == 2, "it is given back", timeout=SOON)
        waits = stored(broker, misfit)
        assert (waits.status, waits.history) == (TaskStatus.PENDING, ())
        stage.go.set()
        ended(broker, *jobs, misfit)


def test_a_job_under_the_wrong_kind_stays_where_there_is_room_that_was_not_asked_for(broker: MemoryBroker) -> None:
    worker = Worker(broker, BackendOptions(), Door, WorkerConfig(concurrency=2, async_concurrency=2))
    # Coroutines were asked for just now, and there were none.
    worker._hopes.learn(Room(functions=0, coroutines=2, total=2), [])
    (job,) = broker.enqueue([replace(job_for(run_at_once_in_loop), is_async=False)])
    worker._settle_and_claim()
    assert (stored(broker, job).status, stored(broker, job).token) == (TaskStatus.RUNNING, 1)
    worker._crew.close()


def test_a_burst_is_not_over_while_what_it_gave_back_is_ready_as_the_other_kind(broker: MemoryBroker) -> None:
    worker = Worker(broker, BackendOptions(), Door, WorkerConfig(burst=True))
    worker._room = lambda: Room(functions=2, coroutines=0, total=2)  # type: ignore[method-assign]
    worker._hopes.learn(Room(functions=0, coroutines=2, total=2), [])
    (job,) = broker.enqueue([replace(job_for(run_at_once_in_loop), is_async=False)])
    worker._settle_and_claim()
    assert (stored(broker, job).status, stored(broker, job).is_async) == (TaskStatus.PENDING, True)
    assert not worker._is_over()


def test_what_has_ended_takes_no_room_in_the_exchange_that_settles_it(broker: MemoryBroker) -> None:
    rooms: list[Room] = []
    worker = Worker(broker, BackendOptions(), Door, WorkerConfig(concurrency=2))
    worker._exchange = lambda outcomes, room, free: rooms.append(free)  # type: ignore[method-assign]
    broker.enqueue([job_for(run_at_once) for _ in range(2)])
    claims = broker.claim(None, 2, worker.info)
    for claim in claims:
        worker._ledger.hold(claim)
    worker._ledger.ended = [Succeeded(claim=claim) for claim in claims]
    worker._settle_and_claim()
    assert [room.functions for room in rooms] == [2]


def test_a_misfit_has_the_room_of_its_code() -> None:
    claims = [
        Claim(job=job, token=1, worker="w")
        for job in (under_the_other(run_at_once), job_for(run_at_once), under_the_other(run_at_once))
    ]
    assert misfits(claims, Room(functions=3, coroutines=9, total=9)) == []
    assert misfits(claims, Room(functions=2, coroutines=9, total=9)) == [claims[2]]
    # Those that lie right were what the room was for.
    assert misfits(claims, Room(functions=1, coroutines=9, total=9)) == [claims[0], claims[2]]


def test_a_kind_that_nobody_knows_here_is_believed() -> None:
    job = replace(job_for(run_at_once), name="tasks.of.tomorrow", is_async=True)
    assert misfits([Claim(job=job, token=1, worker="w")], Room(functions=0, coroutines=1, total=1)) == []


# What a worker hopes for


def claims_of(functions: int, coroutines: int) -> list[Claim]:
    jobs = [job_for(run_at_once)] * functions + [job_for(run_at_once_in_loop)] * coroutines
    return [Claim(job=job, token=1, worker="w") for job in jobs]


@pytest.mark.parametrize(
    ("got", "lost"),
    [((2, 3), ()), ((2, 0), (True,)), ((0, 3), (False,)), ((1, 2), (False, True)), ((0, 0), (False, True))],
)
def test_less_than_was_asked_for_is_all_there_was(got: tuple[int, int], lost: tuple[bool, ...]) -> None:
    hopes = Hopes()
    hopes.learn(Room(functions=2, coroutines=3, total=5), claims_of(*got))
    assert hopes.lost == lost


def test_nothing_is_known_of_what_was_not_asked_for() -> None:
    hopes = Hopes()
    hopes.learn(Room(functions=0, coroutines=3, total=3), [])
    assert hopes.lost == (True,)
    assert hopes.fit(Room(functions=1, coroutines=0, total=1))
    assert not hopes.fit(Room(functions=0, coroutines=1, total=1))


def test_where_all_that_might_be_taken_was_there_may_be_more_of_both() -> None:
    hopes = Hopes()
    hopes.learn(Room(functions=5, coroutines=5, total=2), claims_of(2, 0))
    assert hopes.lost == () and hopes.listen_at is None


def test_what_was_not_there_is_asked_for_again_after_a_moment_while_the_other_is_there() -> None:
    now = [100.0]
    hopes, room = Hopes(now=lambda: now[0]), Room(functions=2, coroutines=3, total=5)
    hopes.learn(room, claims_of(2, 0))
    assert hopes.worth_asking(room).kinds == (False,)
    assert hopes.listen_at == 100.0 + PATIENCE
    now[0] += ASK_AGAIN
    assert hopes.worth_asking(room).kinds == (False, True)
    # There is no room for what may be there.
    assert hopes.worth_asking(room.only((True,))).kinds == ()


def test_a_worker_sleeps_no_longer_than_until_it_has_to_listen(broker: MemoryBroker) -> None:
    worker = Worker(broker, BackendOptions(), Door)
    worker._hopes.learn(Room(functions=2, coroutines=3, total=5), claims_of(2, 0))
    assert worker._nap() <= PATIENCE
    worker._listener.listen((True,))
    assert worker._nap() > PATIENCE
    worker._crew.close()


def test_where_there_is_nothing_somebody_listens_at_once() -> None:
    hopes = Hopes(now=lambda: 100.0)
    hopes.learn(Room(functions=2, coroutines=3, total=5), [])
    assert hopes.listen_at == 100.0
    assert hopes.worth_asking(Room(functions=2, coroutines=3, total=5)).kinds == ()


# In a burst

shared: list[MemoryBroker] = []


@task
def enqueue_the_other() -> None:
    enqueued(shared[0], enqueue_the_first)


@task
async def enqueue_the_first() -> None:
    shared[0].enqueue([job_for(run_at_once)])


def test_a_burst_runs_what_its_tasks_enqueue_of_either_kind(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever listens may be later than the end.
    monkeypatch.setattr(listener.Listener, "listen", lambda *_: None)
    shared[:] = [broker]
    broker.enqueue([job_for(enqueue_the_other)])
    assert run_all(broker).succeeded == 3
