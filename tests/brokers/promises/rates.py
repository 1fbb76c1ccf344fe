"""Rates: how many start in a time, by the store's clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.brokers.lookups import Query
from reinhardt_tasks.jobs import Job, Retrying, Succeeded, TaskStatus
from tests.servers import wait_until

from .base import (
    LONG,
    Promises,
    attempt_of,
    claimed,
    ids_of,
    new_job,
    new_worker,
    running,
    stored_job,
)
from .limited import STEP, due_now, one_of, paced, settled


class Rates(Promises):
    def claim_all(self, broker: Broker, number: int) -> list[Job]:
        worker, found = new_worker(), []

        def more() -> bool:
            self.move_time(STEP / 10)
            found.extend(claim.job for claim in broker.claim(None, 100, worker))
            return len(found) >= number

        wait_until(more, f"{number} jobs have started")
        return found

    def assert_paced(self, jobs: Sequence[Job], step: float = STEP, burst: int = 1) -> None:
        starts = sorted(job.started_at for job in jobs)
        for earlier, later in zip(starts, starts[burst:], strict=False):
            assert later - earlier >= timedelta(seconds=step)

    def test_starts_are_a_step_apart(self, broker: Broker) -> None:
        jobs = broker.enqueue([new_job(limits=paced()) for _ in range(4)])
        started = self.claim_all(broker, 4)
        assert ids_of(started) == ids_of(jobs)
        self.assert_paced(started)

    def test_a_burst_begins_at_once_and_the_rest_is_paced(self, broker: Broker) -> None:
        broker.enqueue([new_job(limits=paced(burst=3)) for _ in range(5)])
        assert len(broker.claim(None, 100, new_worker())) == 3
        assert due_now(broker) == []
        self.claim_all(broker, 2)

    def test_what_waited_for_a_worker_does_not_begin_all_at_once(self, broker: Broker) -> None:
        broker.enqueue([new_job(limits=paced()) for _ in range(3)])
        broker.wait(None, 0)
        first = claimed(broker)
        wait_until(lambda: self.move_time(1) or self.now() > first.job.started_at + timedelta(seconds=3 * STEP), "time")
        self.assert_paced([first.job, *self.claim_all(broker, 2)])

    def test_a_free_key_is_no_credit(self, broker: Broker) -> None:
        first = running(broker, limits=paced())
        wait_until(lambda: self.move_time(1) or self.now() > first.job.started_at + timedelta(seconds=2 * STEP), "time")
        broker.enqueue([new_job(limits=paced()) for _ in range(3)])
        self.assert_paced(self.claim_all(broker, 3))

    def test_who_never_began_is_not_counted(self, broker: Broker) -> None:
        first, second = broker.enqueue([new_job(limits=paced(step=LONG)) for _ in range(2)])
        broker.wait(None, 0)
        broker.cancel([first.id])
        assert due_now(broker) == [second.id]

    def test_the_time_of_a_cancelled_job_goes_to_the_next(self, broker: Broker) -> None:
        running(broker, limits=paced())
        second, third = broker.enqueue([new_job(limits=paced()) for _ in range(2)])
        broker.wait(None, 0)
        assert stored_job(broker, second).status is TaskStatus.PENDING
        assert len(broker.find(Query(statuses=(TaskStatus.PENDING,)))) == 2
        (counts,) = broker.counts()
        assert (counts.counts[TaskStatus.PENDING], counts.counts[TaskStatus.SCHEDULED]) == (2, 0)
        broker.cancel([second.id])
        assert ids_of(self.claim_all(broker, 1)) == [third.id]

    def test_a_rate_and_a_slot_are_both_kept(self, broker: Broker) -> None:
        broker.enqueue([new_job(limits=(*one_of(), *paced())) for _ in range(3)])
        worker, started = new_worker(), []
        while len(started) < 3:
            (claim,) = self.claim_when_due(broker, STEP, worker)
            started.append(claim.job)
            assert broker.claim(None, 10, worker) == []
            settled(broker, Succeeded(claim=claim))
        self.assert_paced(started)

    def test_a_sleeper_wakes_when_the_next_may_start(self, broker: Broker) -> None:
        running(broker, limits=paced())
        broker.enqueue([new_job(limits=paced())])
        assert not broker.wait(None, 0)
        self.move_time(STEP)
        assert broker.wait(None, 30)
        assert len(due_now(broker)) == 1

    def test_a_second_attempt_is_a_start_too(self, broker: Broker) -> None:
        claim = running(broker, limits=paced())
        settled(broker, Retrying(claim=claim, attempt=attempt_of(claim)))
        assert due_now(broker) == []
        self.assert_paced([claim.job, *self.claim_all(broker, 1)])
