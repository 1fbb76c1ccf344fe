"""Concurrency keys: so many run at once, and those held back stand in line, in nobody's way."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker, Changes, Query
from reinhardt_tasks.gates import Limit
from reinhardt_tasks.jobs import Failed, Succeeded, TaskStatus
from tests.servers import wait_until

from .base import (
    LONG,
    SHORT_LEASE,
    SOON,
    Promises,
    attempt_of,
    claimed,
    ids_of,
    new_job,
    new_worker,
    running,
    signed_in,
    stored_job,
)
from .limited import BACK, OUTCOMES, due_now, one_of, settled

#: Limits that `@task` refuses; another release, or a hand, may have stored them.
ODD_LIMITS = {
    "half a surrogate pair": Limit(key="user:cut \ud83d"),
    "NUL": Limit(key="user:\x00"),
    "long": Limit(key="k" * 1000),
    "long halves": Limit(key="\udc00" * 1000),
    "too many at once": Limit(key="many", size=2**40),
    "slower than time": Limit(key="slow", every=2**70),
}


class ConcurrencyKeys(Promises):
    @pytest.mark.parametrize("odd", ODD_LIMITS.values(), ids=ODD_LIMITS)
    def test_a_limit_that_no_store_can_write_down_costs_nobody_anything(self, broker: Broker, odd: Limit) -> None:
        before = new_job(limits=one_of())
        wrong = new_job(limits=(odd,))
        later = new_job(limits=(odd, *one_of("later")), run_after=self.now() + timedelta(seconds=SOON))
        broker.enqueue([before, wrong, later, new_job(limits=one_of("other")), new_job()])
        worker, seen = new_worker(), set()
        self.move_time(SOON)

        def all_have_run() -> bool:
            claims = broker.claim(None, 100, worker)
            assert broker.settle([Succeeded(claim=claim) for claim in claims]) == []
            seen.update(ids_of(claims))
            return len(seen) == (4 if odd.every else 5)

        wait_until(all_have_run, "all have run")
        assert {before.id, wrong.id} <= seen
        # What is of no store's can be handled by people, as any other.
        broker.lines()
        assert broker.delete([wrong.id]) == [wrong.id]

    def test_no_more_run_at_once_than_a_key_allows(self, broker: Broker) -> None:
        jobs = broker.enqueue([new_job(limits=one_of(size=2)) for _ in range(5)])
        worker, seen = new_worker(), []
        claims = broker.claim(None, 100, worker)
        while claims:
            assert len(claims) <= 2
            seen += ids_of(claims)
            assert broker.claim(None, 100, worker) == []
            _, claims = broker.exchange([Succeeded(claim=claim) for claim in claims], None, 100, worker)
        assert seen == ids_of(jobs)

    @pytest.mark.parametrize("end", [*OUTCOMES.values(), BACK["retry later"], BACK["released for later"]])
    def test_every_end_of_an_attempt_lets_the_next_one_in(self, broker: Broker, end: Any) -> None:
        first, second = broker.enqueue([new_job(limits=one_of()) for _ in range(2)])
        claim = claimed(broker)
        assert (claim.job.id, due_now(broker)) == (first.id, [])
        settled(broker, end(claim))
        assert due_now(broker) == [second.id]

    @pytest.mark.parametrize("back", [BACK["retry now"], BACK["released"]])
    def test_a_job_that_is_given_back_needs_a_slot_again(self, broker: Broker, back: Any) -> None:
        broker.enqueue([new_job(limits=one_of()) for _ in range(2)])
        settled(broker, back(claimed(broker)))
        claimed(broker)
        assert due_now(broker) == []

    def test_the_next_is_the_most_urgent_then_the_oldest(self, broker: Broker) -> None:
        claim = running(broker, limits=one_of())
        usual, later, urgent = broker.enqueue([new_job(limits=one_of(), priority=priority) for priority in (0, 0, 50)])
        seen = []
        while claim:
            settled(broker, Succeeded(claim=claim))
            claim = next(iter(broker.claim(None, 1, new_worker())), None)
            seen += [claim.job.id] if claim else []
        assert seen == [urgent.id, usual.id, later.id]

    def test_an_urgent_job_does_not_wait_behind_one_that_nobody_has_taken(self, broker: Broker) -> None:
        (usual,) = broker.enqueue([new_job(limits=one_of())])
        broker.wait(None, 0)
        (urgent,) = broker.enqueue([new_job(limits=one_of(), priority=50)])
        claim = claimed(broker)
        assert claim.job.id == urgent.id
        assert due_now(broker) == []
        settled(broker, Succeeded(claim=claim))
        assert due_now(broker) == [usual.id]

    def test_a_key_is_one_in_all_queues_and_for_all_brokers(self, broker: Broker) -> None:
        other = self.another_broker()
        broker.enqueue([new_job(queue="a", limits=one_of())])
        other.enqueue([new_job(queue="b", limits=one_of()), new_job(queue="b", limits=one_of("other"))])
        found = [*broker.claim(None, 10, new_worker()), *other.claim(None, 10, new_worker())]
        assert sorted(claim.job.limits[0].key for claim in found) == ["key", "other"]

    def test_a_job_passes_all_its_limits(self, broker: Broker, rng: random.Random) -> None:
        jobs = []
        for _ in range(30):
            user = rng.randrange(4)
            jobs.append(new_job(name=f"user{user}", limits=(*one_of(f"user{user}"), *one_of("queue", 2))))
        broker.enqueue(jobs)
        worker, running, done = new_worker(), [], []
        while len(done) < len(jobs):
            running += broker.claim(None, 10, worker)
            names = [claim.job.name for claim in running]
            assert 1 <= len(names) <= 2 and len(set(names)) == len(names)
            claim = running.pop(rng.randrange(len(running)))
            settled(broker, Succeeded(claim=claim))
            done.append(claim.job.id)
        assert sorted(done) == ids_of(jobs)

    def test_the_slot_of_a_lost_worker_comes_back_with_its_rescue(self, broker: Broker) -> None:
        lost = new_worker(lease=SHORT_LEASE)
        claim = running(broker, lost, limits=one_of())
        (second,) = broker.enqueue([new_job(limits=one_of())])
        self.end_lease(broker, lost)
        assert due_now(broker) == []
        (rescued,) = broker.rescue(10, signed_in(broker))
        assert due_now(broker) == []
        # Too late: its slot is not its to give back any more.
        assert broker.settle([Succeeded(claim=claim)]) == [claim]
        assert due_now(broker) == []
        settled(broker, Failed(claim=rescued, attempt=attempt_of(rescued, lost=True)))
        assert due_now(broker) == [second.id]

    @pytest.mark.parametrize("verb", ["cancel", "delete"])
    def test_who_is_cancelled_or_deleted_leaves_the_line_and_gives_back_its_slot(
        self, broker: Broker, verb: str
    ) -> None:
        first, second, third, fourth = broker.enqueue([new_job(limits=one_of()) for _ in range(4)])
        broker.wait(None, 0)
        end = getattr(broker, verb)
        # One that is parked, then one that has the slot.
        assert end([third.id]) == [third.id]
        assert end([first.id]) == [first.id]
        claim = claimed(broker)
        assert claim.job.id == second.id
        assert due_now(broker) == []
        settled(broker, Succeeded(claim=claim))
        assert due_now(broker) == [fourth.id]

    def test_a_job_in_line_can_be_changed(self, broker: Broker) -> None:
        claim = running(broker, limits=one_of())
        first, second, third, fourth = broker.enqueue([new_job(limits=one_of()) for _ in range(4)])
        broker.wait(None, 0)
        assert broker.change([third.id], Changes(priority=50, queue="other")) == [third.id]
        assert broker.change([first.id], Changes(run_after=self.now() + timedelta(seconds=LONG))) == [first.id]
        assert stored_job(broker, first).status is TaskStatus.SCHEDULED
        seen = []
        while claim:
            settled(broker, Succeeded(claim=claim))
            claim = next(iter(broker.claim(None, 1, new_worker())), None)
            seen += [(claim.job.id, claim.job.queue)] if claim else []
        assert seen == [(third.id, "other"), (second.id, "default"), (fourth.id, "default")]
        assert broker.retry([first.id]) == [first.id]
        assert due_now(broker) == [first.id]

    def test_who_waits_for_a_slot_is_pending_and_can_be_found(self, broker: Broker) -> None:
        running(broker, limits=one_of())
        jobs = broker.enqueue([new_job(limits=one_of()) for _ in range(3)])
        broker.wait(None, 0)
        (counts,) = broker.counts()
        assert counts.counts[TaskStatus.PENDING] == 3
        assert counts.counts[TaskStatus.RUNNING] == 1
        found = broker.find(Query(statuses=(TaskStatus.PENDING,)))
        assert sorted(ids_of(found)) == sorted(ids_of(jobs))
        assert found[0].limits == one_of()
        assert ids_of(broker.find(Query(statuses=(TaskStatus.PENDING,), queue="other"))) == []
        assert broker.rewrite(jobs[1].id, '"other"')
        assert stored_job(broker, jobs[1]).payload == '"other"'

    def test_a_later_job_waits_for_its_time_before_it_stands_in_line(self, broker: Broker) -> None:
        broker.enqueue([new_job(limits=one_of(), run_after=self.now() + timedelta(seconds=0.3))])
        (now,) = broker.enqueue([new_job(limits=one_of())])
        claim = claimed(broker)
        assert claim.job.id == now.id
        settled(broker, Succeeded(claim=claim))
        assert len(self.claim_when_due(broker, 0.4, new_worker())) == 1

    def test_the_youngest_job_says_what_its_key_allows(self, broker: Broker) -> None:
        broker.enqueue([new_job(limits=one_of(size=1)) for _ in range(4)])
        assert len(due_now(broker)) == 1
        broker.enqueue([new_job(limits=one_of(size=3))])
        assert len(due_now(broker)) == 2

    def test_what_is_held_back_is_in_nobodys_way(self, broker: Broker) -> None:
        worker = new_worker()
        broker.enqueue([new_job(limits=one_of(), priority=100) for _ in range(600)])
        (held,) = broker.claim(None, 10, worker)
        free = broker.enqueue([new_job() for _ in range(3)])
        assert ids_of(broker.claim(None, 10, worker)) == ids_of(free)
        assert not broker.wait(None, 0)
        settled(broker, Succeeded(claim=held))
        assert broker.wait(None, 0)

    def test_a_paused_queue_keeps_what_is_limited_too(self, broker: Broker) -> None:
        broker.pause("default")
        (job,) = broker.enqueue([new_job(limits=one_of())])
        assert due_now(broker) == []
        broker.resume("default")
        assert due_now(broker) == [job.id]

    def test_what_becomes_due_elsewhere_takes_the_place_of_what_was_ready(self, broker: Broker) -> None:
        """The more urgent one is in another queue, and becomes due in the claim itself."""
        (low,) = broker.enqueue([new_job(queue="a", priority=0, limits=one_of())])
        soon = self.now() + timedelta(seconds=SOON)
        (high,) = broker.enqueue([new_job(queue="b", priority=100, limits=one_of(), run_after=soon)])
        self.move_time(2 * SOON)
        wait_until(lambda: self.now() > soon, "it is due")
        worker = new_worker()
        (first,) = broker.claim(["a", "b"], 5, worker)
        assert broker.claim(None, 5, worker) == []
        settled(broker, Succeeded(claim=first))
        (second,) = broker.claim(None, 5, worker)
        assert {first.job.id, second.job.id} == {low.id, high.id}
        assert (first.token, second.token) == (1, 1)
