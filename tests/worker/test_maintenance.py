"""What any worker does for all: dead workers' tasks run again, and what is old is cleared away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from reinhardt_tasks._compat import task_finished
from reinhardt_tasks.brokers.base import Query, WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Claim, Job, Outcome, Retrying, Succeeded, TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, lost_ends, maintenance
from reinhardt_tasks.worker.estates import Estates
from reinhardt_tasks.worker.lost_ends import LostEnds
from reinhardt_tasks.worker.maintenance import Maintenance
from reinhardt_tasks.worker.tally import Tally
from tests.servers import wait_until

from .running import SOON, Clock, Door, ended, enqueued, maintenance_of, working

GONE = WorkerInfo(id="gone", lease=10)
ME = WorkerInfo(id="me", lease=10)


@task
def be_quick() -> None:
    pass


@pytest.fixture
def clock() -> Clock:
    return Clock(frozen=True)


@pytest.fixture
def broker(clock: Clock) -> MemoryBroker:
    return MemoryBroker(now=clock)


def held_by_the_dead(broker: MemoryBroker, clock: Clock, number: int = 1) -> list[Job]:
    jobs = [enqueued(broker, be_quick) for _ in range(number)]
    assert len(broker.claim(None, number, GONE)) == number
    clock.jump(GONE.lease + 1)
    return jobs


def found(broker: MemoryBroker, jobs: list[Job]) -> list[Job]:
    by_id = broker.get([job.id for job in jobs])
    return [by_id[job.id] for job in jobs]


def test_what_the_dead_held_is_ready_again(broker: MemoryBroker, clock: Clock) -> None:
    jobs = held_by_the_dead(broker, clock, 3)
    assert maintenance_of(broker, ME, BackendOptions()).rescue() == 3
    assert {job.status for job in found(broker, jobs)} == {TaskStatus.PENDING}
    assert {(job.losses, job.failures) for job in found(broker, jobs)} == {(1, 0)}
    assert {job.history[0].worker for job in found(broker, jobs)} == {"gone"}


def test_what_the_living_hold_is_left(broker: MemoryBroker, clock: Clock) -> None:
    jobs = held_by_the_dead(broker, clock)
    broker.heartbeat(GONE)
    assert maintenance_of(broker, ME, BackendOptions()).rescue() == 0
    assert found(broker, jobs)[0].status is TaskStatus.RUNNING


def test_more_than_fit_into_one_go_are_all_rescued(
    broker: MemoryBroker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 4)
    jobs = held_by_the_dead(broker, clock, 11)
    assert maintenance_of(broker, ME, BackendOptions()).rescue() == 11
    assert {job.status for job in found(broker, jobs)} == {TaskStatus.PENDING}


def test_a_task_that_takes_down_every_worker_fails(broker: MemoryBroker, clock: Clock) -> None:
    (job,) = held_by_the_dead(broker, clock)
    service = maintenance_of(broker, ME, BackendOptions(max_lost=2))
    service.rescue()
    broker.claim(None, 1, GONE)
    clock.jump(GONE.lease + 1)
    service.rescue()
    (done,) = found(broker, [job])
    assert done.status is TaskStatus.FAILURE
    assert [attempt.lost for attempt in done.history] == [True, True]


def by_maintenance(broker: MemoryBroker, options: BackendOptions) -> None:
    ends = LostEnds(lambda: broker, Door)
    Maintenance(broker, ME, options, ends=ends).rescue()
    ends.tell()


def by_a_worker(broker: MemoryBroker, options: BackendOptions) -> None:
    with working(broker, options, burst=True) as worker:
        wait_until(lambda: not broker.find(Query(statuses=[TaskStatus.RUNNING])), "it has rescued", timeout=SOON)
        worker.stop()


def by_a_supervisor(broker: MemoryBroker, options: BackendOptions) -> None:
    estates = Estates(lambda: broker, options, Door, lambda: ME, Tally())
    running = {job.id for job in broker.find(Query(statuses=[TaskStatus.RUNNING]))}
    dead: Any = SimpleNamespace(info=GONE, board=SimpleNamespace(ids=lambda: running))
    estates.give_away(dead)
    estates.tell(SOON)


@pytest.mark.parametrize("rescue", [by_maintenance, by_a_worker, by_a_supervisor])
def test_the_end_of_what_was_lost_too_often_is_told(
    broker: MemoryBroker, clock: Clock, rescue: Callable[[MemoryBroker, BackendOptions], None]
) -> None:
    told: list[tuple[str, str]] = []

    def hear(task_result: Any, **facts: Any) -> None:
        told.append((task_result.id, str(task_result.state)))

    failing, cancelled = held_by_the_dead(broker, clock, 2)
    broker.cancel([cancelled.id])
    task_finished.connect(hear, sender=Door)
    try:
        rescue(broker, BackendOptions(max_lost=1))
    finally:
        task_finished.disconnect(hear, sender=Door)
    assert sorted(told) == sorted([(failing.id, "FAILURE"), (cancelled.id, "CANCELLED")])


def leave(sender: Any, **facts: Any) -> None:
    raise SystemExit(1)


def fail(sender: Any, **facts: Any) -> None:
    raise ValueError("no")


@pytest.mark.parametrize("receiver", [leave, partial(fail)], ids=["leaves", "has no name"])
def test_no_receiver_ends_rescuing(
    broker: MemoryBroker, clock: Clock, receiver: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    ends = LostEnds(lambda: broker, Door)
    service = Maintenance(broker, WorkerInfo(id="me", lease=0.1), BackendOptions(max_lost=1), ends=ends)
    task_finished.connect(receiver, sender=Door)
    service.start()
    try:
        for _ in range(2):
            ended(broker, *held_by_the_dead(broker, clock, 2))
    finally:
        service.close()
        task_finished.disconnect(receiver, sender=Door)
    # Nor a round of it.
    assert "a receiver of a signal wanted to leave" in caplog.text and "Maintenance failed" not in caplog.text


def test_a_supervisor_tells_after_it_has_given_all_away_and_only_for_some_time(
    broker: MemoryBroker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    now = [0.0]
    tidied: list[int] = []

    def hear_slowly(task_result: Any, **facts: Any) -> None:
        told.append(task_result.id)
        now[0] += 1

    monkeypatch.setattr(lost_ends, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(lost_ends, "tidy_connections", lambda: tidied.append(len(told)))
    jobs = held_by_the_dead(broker, clock, 3)
    estates = Estates(lambda: broker, BackendOptions(max_lost=1), Door, lambda: ME, Tally())
    dead: Any = SimpleNamespace(info=GONE, board=SimpleNamespace(ids=lambda: {job.id for job in jobs}))
    task_finished.connect(hear_slowly, sender=Door)
    try:
        estates.give_away(dead)
        assert told == [] and {job.status for job in found(broker, jobs)} == {TaskStatus.FAILURE}
        estates.tell(1.5)
        assert len(told) == 2
        estates.tell(1.5)
        estates.tell(1.5)
    finally:
        task_finished.disconnect(hear_slowly, sender=Door)
    assert sorted(told) == sorted(job.id for job in jobs)
    assert tidied == [2, 3]


def test_what_the_store_did_not_answer_for_is_told_later(
    broker: MemoryBroker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def hear(task_result: Any, **facts: Any) -> None:
        told.append(task_result.id)

    def refuse(ids: Any) -> Any:
        raise QueueError("down")

    monkeypatch.setattr(lost_ends, "PAUSE", 0.0)
    (job,) = held_by_the_dead(broker, clock)
    ends = LostEnds(lambda: broker, Door)
    Maintenance(broker, ME, BackendOptions(max_lost=1), ends=ends).rescue()
    task_finished.connect(hear, sender=Door)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(broker, "get", refuse)
            ends.tell()
        assert told == []
        ends.tell()
    finally:
        task_finished.disconnect(hear, sender=Door)
    assert told == [job.id]


def test_what_runs_again_or_was_not_ours_is_no_end(broker: MemoryBroker, clock: Clock) -> None:
    told: list[str] = []

    def hear(task_result: Any, **facts: Any) -> None:
        told.append(task_result.id)

    class TooLate(MemoryBroker):
        def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
            return [each.claim for each in outcomes]

    task_finished.connect(hear, sender=Door)
    try:
        held_by_the_dead(broker, clock)
        by_maintenance(broker, BackendOptions(max_lost=2))
        late = TooLate(now=clock)
        held_by_the_dead(late, clock)
        by_maintenance(late, BackendOptions(max_lost=1))
    finally:
        task_finished.disconnect(hear, sender=Door)
    assert told == []


def test_only_what_is_old_enough_is_deleted(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "BATCH", 2)
    broker._now = clock = Clock()
    clock.jump(-100)
    old = [enqueued(broker, be_quick) for _ in range(5)]
    broker.settle([Succeeded(claim=claim) for claim in broker.claim(None, 5, ME)])
    clock.jump(100)
    waiting = enqueued(broker, be_quick)
    ids = [job.id for job in [*old, waiting]]
    for kept, left in ((200.0, ids), (None, ids), (50.0, [waiting.id])):
        assert maintenance_of(broker, ME, BackendOptions(result_ttl=kept)).prune()
        assert list(broker.get(ids)) == left


class Endless(MemoryBroker):
    """Has more old jobs than can be cleared away, and knows how often it was looked for the dead since that began."""

    prunings = rescues = 0

    def prune(self, before: datetime, limit: int) -> int:
        self.prunings += 1
        return limit

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        self.rescues += self.prunings > 0
        return super().rescue(limit, worker)


def test_however_much_is_old_it_is_cleared_away_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Endless()
    monkeypatch.setattr(maintenance, "time", SimpleNamespace(monotonic=lambda: 0.3 * broker.prunings))
    assert not maintenance_of(broker, ME, BackendOptions()).prune()
    assert broker.prunings == 4


def test_the_dead_are_looked_for_amid_a_long_clearing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "PRUNE_EVERY", 0.0)
    monkeypatch.setattr(maintenance, "PRUNE_FOR", 0.02)
    broker = Endless()
    service = maintenance_of(broker, WorkerInfo(id="me", lease=0.1), BackendOptions())
    service.start()
    try:
        wait_until(lambda: broker.prunings, "it begins", timeout=SOON)
        monkeypatch.setattr(maintenance, "PRUNE_EVERY", 3600.0)
        wait_until(lambda: broker.rescues >= 3, "they are looked for", timeout=SOON)
        before = broker.prunings
        wait_until(lambda: broker.prunings > before, "it goes on at once", timeout=SOON)
    finally:
        service.close()


@pytest.mark.parametrize("trouble", [QueueError("down"), ValueError("a fault of ours")])
def test_it_goes_on_through_troubles(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    class Troubled(MemoryBroker):
        looks = 0

        def rescue(self, limit, worker):  # type: ignore[no-untyped-def]
            self.looks += 1
            if self.looks == 1:
                raise trouble
            return super().rescue(limit, worker)

    broker = Troubled()
    service = maintenance_of(broker, WorkerInfo(id="me", lease=0.1), BackendOptions())
    service.start()
    wait_until(lambda: broker.looks >= 3, "it looks again", timeout=SOON)
    service.close()
    assert str(trouble) in caplog.text


def test_a_worker_does_it_at_its_start() -> None:
    clock = Clock()
    broker = MemoryBroker(now=clock)
    jobs = held_by_the_dead(broker, clock, 2)
    with working(broker):
        assert {job.status for job in ended(broker, *jobs)} == {TaskStatus.SUCCESS}


def test_what_is_being_rescued_is_no_stranger_to_its_worker() -> None:
    class Slow(MemoryBroker):
        """Two heartbeats fall between a rescue and its end."""

        def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
            if any(isinstance(outcome, Retrying) for outcome in outcomes):
                for _ in range(2):
                    worker._pulsed({}, self.heartbeat(worker.info))
            return super().settle(outcomes)

    broker, victim = Slow(), WorkerInfo(id=new_id())
    worker = Worker(broker, BackendOptions(), Door)
    (job,) = broker.enqueue([Job(id=new_id(), name="any", payload="[[],{}]", backend="default")])
    broker.claim(None, 1, victim)
    broker.leave(victim)
    assert worker._maintenance.rescue() == 1
    assert broker.get([job.id])[job.id].losses == 1
