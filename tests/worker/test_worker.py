"""A worker in this process on the reference broker: what it runs, how many at once, and what becomes of each."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks._compat import task_finished
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.contexts import TaskContext
from reinhardt_tasks.exceptions import Retry
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig
from reinhardt_tasks.worker import worker as worker_module
from tests.servers import wait_until

from .running import AT_ONCE, SOON, Door, ended, enqueued, job_for, run_all, stored, working

ONCE = BackendOptions(max_attempts=1)
COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


class Stage:
    """What the tasks of one test share."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(4)
        self.go = threading.Event()
        self.other_go = threading.Event()
        self.lock = threading.Lock()
        self.ran: list[Any] = []
        self.running = self.most = 0
        self.met = 0
        self.all_met: asyncio.Event | None = None

    def enter(self) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)

    def leave(self) -> None:
        with self.lock:
            self.running -= 1


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
def give_back(value: Any = None) -> Any:
    stage.ran.append(value)
    return value


@task
async def give_back_later(value: Any = None) -> Any:
    await asyncio.sleep(0)
    stage.ran.append(value)
    return value


@task(takes_context=True)
def tell(context: TaskContext, total: int) -> str:
    context.progress(1, total)
    context.metadata["seen"] = context.attempt
    return context.task_result.id


@task(takes_context=True)
async def tell_later(context: TaskContext, total: int) -> str:
    await context.aprogress(1, total)
    context.metadata["seen"] = context.attempt
    return str(context.task_result.id)


@task
def meet_in_threads() -> None:
    stage.barrier.wait(60)


@task
async def meet_in_loop(number: int) -> None:
    # The loop is the worker's; all of these run in it, and in it alone.
    stage.all_met = stage.all_met or asyncio.Event()
    stage.met += 1
    if stage.met == number:
        stage.all_met.set()
    await asyncio.wait_for(stage.all_met.wait(), 60)


@task
def be_counted() -> None:
    stage.enter()
    time.sleep(0.002)
    stage.leave()


@task
async def be_counted_in_loop() -> None:
    stage.enter()
    await asyncio.sleep(0.02)
    stage.leave()


@task
def wait_for_go(value: Any = None) -> Any:
    stage.ran.append(value)
    assert stage.go.wait(60)
    return value


@task
def wait_for_other_go(value: Any = None) -> None:
    stage.ran.append(value)
    assert stage.other_go.wait(60)


@task
def fail_at_first(failures: int) -> str:
    stage.ran.append(time.monotonic())
    if len(stage.ran) <= failures:
        raise ValueError(f"attempt {len(stage.ran)}")
    return "at last"


@task
def ask_again_once() -> str:
    stage.ran.append("run")
    if len(stage.ran) == 1:
        raise Retry(in_=0.05)
    return "at last"


@task
def poison(kind: str) -> Any:
    match kind:
        case "SystemExit":
            sys.exit(3)
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "recursion":
            return poison.func(kind)
        case "huge":
            raise ValueError("x" * 50_000_000)
        case "not JSON":
            return {1, 2}
        case _:
            raise BaseException(kind)


@task
async def poison_later(kind: str) -> Any:
    match kind:
        case "SystemExit":
            sys.exit(3)
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "CancelledError":
            raise asyncio.CancelledError
        case "of its own task":
            await asyncio.create_task(poison_later.func("SystemExit"))
        case "not JSON":
            return {1, 2}
        case _:
            raise BaseException(kind)


def leave_from_backoff(exception: BaseException, result: Any) -> float:
    sys.exit("from the backoff")


@task(backoff=leave_from_backoff)
def fail_and_leave_from_backoff() -> None:
    raise ValueError("the task")


@task
async def set_colour_later(colour: str) -> str:
    seen = COLOUR.get()
    COLOUR.set(colour)
    await asyncio.sleep(0)
    return seen


def values(jobs: Any) -> list[str | None]:
    return [job.result for job in jobs]


def statuses(jobs: Any) -> set[TaskStatus]:
    return {job.status for job in jobs}


# What runs


def test_every_kind_of_task_runs(broker: MemoryBroker) -> None:
    jobs = [
        enqueued(broker, each, *args)
        for each, *args in [(give_back, 1), (give_back_later, 2), (tell, 3), (tell_later, 4)]
    ]
    worker = run_all(broker)
    one, two, three, four = ended(broker, *jobs)
    assert (one.result, two.result) == ("1", "2")
    assert three.result == f'"{three.id}"'
    assert (three.progress, four.progress) == ((1, 3), (1, 4))
    assert three.metadata == four.metadata == {"seen": 1}
    assert (worker.succeeded, worker.failed, worker.retried) == (4, 0, 0)
    assert {job.worker for job in (one, two, three, four)} == {worker.info.id}


def test_thousands_of_short_tasks_run_once_each(broker: MemoryBroker) -> None:
    jobs = broker.enqueue([job_for(give_back_later if number % 2 else give_back, number) for number in range(2000)])
    run_all(broker)
    done = ended(broker, *jobs)
    assert statuses(done) == {TaskStatus.SUCCESS}
    # What waits too long behind others is given back, and claimed once more.
    assert {job.history for job in done} == {()}
    assert sorted(stage.ran) == list(range(2000))


def test_what_comes_while_the_worker_is_idle_runs_too(broker: MemoryBroker) -> None:
    with working(broker):
        for number in range(5):
            (job,) = ended(broker, enqueued(broker, give_back, number))
            assert job.result == str(number)


def test_what_ends_beside_a_long_task_is_recorded_though_nothing_else_happens(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but the end of the task itself can wake it within the time that the test gives it.
    monkeypatch.setattr(worker_module, "LONGEST_NAP", 600.0)
    with working(broker, concurrency=3):
        long = enqueued(broker, wait_for_go, "long")
        short = enqueued(broker, wait_for_other_go, "short")
        wait_until(lambda: len(stage.ran) == 2, "both run", timeout=SOON)
        time.sleep(0.3)
        stage.other_go.set()
        (job,) = ended(broker, short)
        assert job.status is TaskStatus.SUCCESS
        assert stored(broker, long).status is TaskStatus.RUNNING
        stage.go.set()


def test_only_its_queues_are_served(broker: MemoryBroker) -> None:
    mine = enqueued(broker, give_back.using(queue_name="mine"), 1)
    also = enqueued(broker, give_back.using(queue_name="also"), 2)
    other = enqueued(broker, give_back.using(queue_name="other"), 3)
    run_all(broker, queues=("mine", "also"))
    assert statuses(ended(broker, mine, also)) == {TaskStatus.SUCCESS}
    assert stored(broker, other).status is TaskStatus.PENDING


def test_a_paused_queue_waits(broker: MemoryBroker) -> None:
    broker.pause("default")
    job = enqueued(broker, give_back, 1)
    run_all(broker)
    assert stored(broker, job).status is TaskStatus.PENDING
    with working(broker):
        broker.resume("default")
        ended(broker, job)


def test_the_order_is_that_of_priorities(broker: MemoryBroker) -> None:
    for number in (1, 3, 2):
        broker.enqueue([job_for(give_back.using(priority=number * 10), number)])
    run_all(broker, concurrency=1)
    assert stage.ran == [3, 2, 1]


def test_run_after_is_waited_for(broker: MemoryBroker) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=0.3)
    later = enqueued(broker, give_back.using(run_after=moment), "later")
    now = enqueued(broker, give_back, "now")
    with working(broker):
        done, _ = ended(broker, later, now)
    assert stage.ran == ["now", "later"]
    assert done.started_at >= moment


@pytest.mark.parametrize("allowed", [1, 100])
def test_what_one_task_sets_in_the_loop_another_does_not_see(broker: MemoryBroker, allowed: int) -> None:
    jobs = [enqueued(broker, set_colour_later, colour) for colour in ("red", "blue", "green")]
    run_all(broker, async_concurrency=allowed)
    assert values(ended(broker, *jobs)) == ['"none"'] * 3


# How many at once


def test_functions_run_at_the_same_time(broker: MemoryBroker) -> None:
    jobs = [enqueued(broker, meet_in_threads) for _ in range(4)]
    run_all(broker, ONCE, concurrency=4)
    assert statuses(ended(broker, *jobs)) == {TaskStatus.SUCCESS}


def test_never_more_functions_than_allowed_run_at_once(broker: MemoryBroker) -> None:
    jobs = [enqueued(broker, be_counted) for _ in range(200)]
    run_all(broker, concurrency=3)
    ended(broker, *jobs)
    assert 1 <= stage.most <= 3


def test_two_hundred_coroutines_share_the_loop_by_default(broker: MemoryBroker) -> None:
    jobs = [enqueued(broker, meet_in_loop, 200) for _ in range(200)]
    run_all(broker, ONCE)
    assert statuses(ended(broker, *jobs)) == {TaskStatus.SUCCESS}


@pytest.mark.parametrize("allowed", [1, 6])
def test_never_more_coroutines_than_allowed_run_at_once(broker: MemoryBroker, allowed: int) -> None:
    jobs = [enqueued(broker, be_counted_in_loop) for _ in range(30)]
    run_all(broker, concurrency=4, async_concurrency=allowed)
    ended(broker, *jobs)
    assert 1 <= stage.most <= allowed


# Retries


def test_a_failure_is_retried_until_it_succeeds(broker: MemoryBroker) -> None:
    job = enqueued(broker, fail_at_first, 2)
    worker = run_all(broker)
    (done,) = ended(broker, job)
    assert done.result == '"at last"'
    assert [attempt.traceback.splitlines()[-1] for attempt in done.history] == [
        "ValueError: attempt 1",
        "ValueError: attempt 2",
    ]
    assert done.worker_ids == [worker.info.id] * 3
    assert (worker.succeeded, worker.failed, worker.retried) == (1, 0, 2)


def test_a_retry_waits_for_its_delay(broker: MemoryBroker) -> None:
    job = enqueued(broker, fail_at_first, 2)
    with working(broker, BackendOptions(backoff=RetryStrategy.fixed_delay(0.2))):
        (done,) = ended(broker, job)
    assert done.status is TaskStatus.SUCCESS
    first, second, third = stage.ran
    assert second - first >= 0.2
    assert third - second >= 0.2


def test_a_task_asks_for_its_own_retry(broker: MemoryBroker) -> None:
    job = enqueued(broker, ask_again_once)
    with working(broker):
        (done,) = ended(broker, job)
    assert done.result == '"at last"'


def test_a_task_without_attempts_left_has_failed(broker: MemoryBroker) -> None:
    job = enqueued(broker, fail_at_first, 99)
    worker = run_all(broker, BackendOptions(max_attempts=3, backoff=AT_ONCE))
    (done,) = ended(broker, job)
    assert done.status is TaskStatus.FAILURE
    assert len(done.history) == len(stage.ran) == 3
    assert (worker.succeeded, worker.failed, worker.retried) == (0, 1, 2)


# Poison


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "recursion", "huge", "not JSON", "BaseException"])
def test_a_poisonous_function_harms_no_neighbour(broker: MemoryBroker, kind: str) -> None:
    poisons = [enqueued(broker, poison, kind) for _ in range(4)]
    neighbours = [enqueued(broker, each, n) for n in range(8) for each in (give_back, give_back_later)]
    run_all(broker, ONCE, concurrency=2)
    assert statuses(ended(broker, *poisons)) == {TaskStatus.FAILURE}
    assert statuses(ended(broker, *neighbours)) == {TaskStatus.SUCCESS}


@pytest.mark.parametrize(
    "kind", ["SystemExit", "KeyboardInterrupt", "CancelledError", "of its own task", "not JSON", "BaseException"]
)
def test_a_poisonous_coroutine_harms_no_neighbour(broker: MemoryBroker, kind: str) -> None:
    poisons = [enqueued(broker, poison_later, kind) for _ in range(4)]
    neighbours = [enqueued(broker, each, n) for n in range(8) for each in (give_back, give_back_later)]
    with working(broker, ONCE, concurrency=2):
        assert statuses(ended(broker, *poisons)) == {TaskStatus.FAILURE}
        assert statuses(ended(broker, *neighbours)) == {TaskStatus.SUCCESS}


@pytest.mark.parametrize("each", [give_back, give_back_later], ids=["function", "coroutine"])
def test_damaged_payloads_take_no_slot_with_them(broker: MemoryBroker, each: Any) -> None:
    damaged = broker.enqueue([replace(job_for(each, 1), payload="nonsense") for _ in range(6)])
    with working(broker, concurrency=2, async_concurrency=3):
        assert statuses(ended(broker, *damaged)) == {TaskStatus.FAILURE}
        ended(broker, enqueued(broker, give_back, 1), enqueued(broker, give_back_later, 2))


def test_an_unknown_task_is_put_back_and_fails_after_its_time(broker: MemoryBroker) -> None:
    unknown = replace(job_for(give_back, 1), name="tests.worker.test_worker.not_there")
    (job,) = broker.enqueue([unknown])
    worker = run_all(broker)
    waiting = stored(broker, job)
    assert (waiting.status, waiting.history) == (TaskStatus.SCHEDULED, ())
    assert (worker.succeeded, worker.failed, worker.retried) == (0, 0, 0)
    with working(broker, BackendOptions(unknown_task_ttl=0.2)):
        broker.retry([job.id])
        (done,) = ended(broker, job)
    assert done.history[-1].exception == "reinhardt_tasks.exceptions.TaskNotFound"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_backoff_that_leaves_costs_no_thread(broker: MemoryBroker) -> None:
    jobs = [enqueued(broker, fail_and_leave_from_backoff) for _ in range(2)]
    with working(broker, BackendOptions(max_attempts=2, backoff=AT_ONCE), concurrency=2):
        wait_until(lambda: all(stored(broker, job).history for job in jobs), "both have failed once")
        ended(broker, *[enqueued(broker, give_back, number) for number in range(3)])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_receiver_that_leaves_costs_no_thread(broker: MemoryBroker) -> None:
    def leave(**facts: Any) -> None:
        sys.exit("from a receiver")

    task_finished.connect(leave, sender=Door)
    try:
        jobs = [enqueued(broker, give_back, number) for number in range(6)]
        with working(broker, ONCE, concurrency=2):
            assert statuses(ended(broker, *jobs)) == {TaskStatus.SUCCESS}
    finally:
        task_finished.disconnect(leave, sender=Door)


# Leaving by itself


def test_burst_runs_what_its_tasks_enqueue(broker: MemoryBroker) -> None:
    heads = [enqueued(broker, go_on, 20) for _ in range(3)]
    global followers
    followers = broker
    run_all(broker)
    assert statuses(ended(broker, *heads)) == {TaskStatus.SUCCESS}
    assert Counter(stage.ran) == dict.fromkeys(range(21), 3)


followers: MemoryBroker


@task
def go_on(left: int) -> None:
    stage.ran.append(left)
    if left:
        enqueued(followers, go_on, left - 1)


def test_burst_leaves_what_is_not_due(broker: MemoryBroker) -> None:
    later = enqueued(broker, give_back.using(run_after=datetime.now(UTC) + timedelta(hours=1)), 1)
    again = enqueued(broker, fail_at_first, 9)
    run_all(broker, BackendOptions(backoff=RetryStrategy.fixed_delay(3600)))
    assert stored(broker, later).status is TaskStatus.SCHEDULED
    assert stored(broker, again).status is TaskStatus.RETRY


def test_the_store_hears_how_often_an_idle_worker_looks(broker: MemoryBroker) -> None:
    Worker(broker, BackendOptions(), Door, WorkerConfig(poll_interval=7))
    assert broker.poll_interval == 7


@pytest.mark.parametrize("most, leaves", [(1, True), (1 << 50, False)])
def test_a_worker_that_has_grown_leaves_and_ends_what_it_runs(broker: MemoryBroker, most: int, leaves: bool) -> None:
    with working(broker, max_memory=most) as worker:
        job = enqueued(broker, wait_for_go)
        wait_until(lambda: worker.beat_at is not None, "the store has its pulse")
        beat_at = worker.beat_at
        wait_until(lambda: worker.has_had_enough or worker.beat_at != beat_at, "it has looked")
        assert (worker.has_had_enough, stage.ran) == (leaves, [None])
        stage.go.set()
        assert [each.status for each in ended(broker, job)] == [TaskStatus.SUCCESS]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_max_tasks_is_kept_to(broker: MemoryBroker, concurrency: int) -> None:
    for number in range(30):
        enqueued(broker, give_back, number)
    worker = run_all(broker, burst=False, max_tasks=7, concurrency=concurrency)
    assert worker.succeeded == len(stage.ran) == 7
    (counts,) = broker.counts()
    assert (counts.counts[TaskStatus.PENDING], counts.counts[TaskStatus.RUNNING]) == (23, 0)


def test_a_worker_signs_off(broker: MemoryBroker) -> None:
    with working(broker) as worker:
        ended(broker, enqueued(broker, give_back))
        assert [record.info.id for record in broker.workers()] == [worker.info.id]
        assert broker.workers()[0].info.slots == 4
    assert broker.workers() == []


# Configuration


@pytest.mark.parametrize(
    "values",
    [
        {"concurrency": 0},
        {"async_concurrency": 0},
        {"max_tasks": 0},
        {"max_memory": 0},
        {"poll_interval": 0},
        {"shutdown_timeout": -0.1},
        {"shutdown_timeout": float("nan")},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        WorkerConfig(**values)


def test_each_configuration_has_an_id_of_its_own() -> None:
    assert WorkerConfig().id != WorkerConfig().id
    assert len(WorkerConfig().id) < 150
