"""Limits: unique jobs, concurrency keys, rates, debouncing; and that what is held back is in nobody's way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Lock
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker, Changes, Query
from reinhardt_tasks.gates import Limit, Until
from reinhardt_tasks.jobs import Cancelled, Failed, Job, Outcome, Released, Retrying, Succeeded, TaskStatus
from tests.servers import wait_until

from .base import (
    LONG,
    SHORT_LEASE,
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

#: Seconds between two starts, where a test waits for them.
STEP = 0.25

OUTCOMES = {
    "success": lambda claim: Succeeded(claim=claim),
    "failure": lambda claim: Failed(claim=claim, attempt=attempt_of(claim)),
    "cancelled": lambda claim: Cancelled(claim=claim, attempt=attempt_of(claim)),
}
BACK = {
    "retry now": lambda claim: Retrying(claim=claim, attempt=attempt_of(claim)),
    "retry later": lambda claim: Retrying(claim=claim, attempt=attempt_of(claim), delay=LONG),
    "released": lambda claim: Released(claim=claim),
    "released for later": lambda claim: Released(claim=claim, delay=LONG),
}


def one_of(key: str = "key", size: int = 1) -> tuple[Limit, ...]:
    return (Limit(key=key, size=size),)


def paced(key: str = "rate", step: float = STEP, burst: int = 1) -> tuple[Limit, ...]:
    return (Limit(key=key, size=burst, every=int(step * 1_000_000)),)


def unique(until: Until = Until.FINISHED, **values: Any) -> Job:
    return new_job(once_key="unique", once_until=until, **values)


def due_now(broker: Broker, limit: int = 100) -> list[str]:
    return ids_of(broker.claim(None, limit, new_worker()))


def settled(broker: Broker, *outcomes: Outcome) -> None:
    assert broker.settle(outcomes) == []


class UniqueJobs(Promises):
    @pytest.mark.parametrize("back", BACK.values(), ids=BACK)
    @pytest.mark.parametrize("end", OUTCOMES.values(), ids=OUTCOMES)
    def test_a_key_until_finished_is_held_through_every_attempt(self, broker: Broker, end: Any, back: Any) -> None:
        (first,) = broker.enqueue([unique()])
        assert ids_of(broker.enqueue([unique()])) == [first.id]
        settled(broker, back(claimed(broker)))
        assert ids_of(broker.enqueue([unique()])) == [first.id]
        broker.retry([first.id])
        claim = claimed(broker)
        assert claim.job.id == first.id
        assert ids_of(broker.enqueue([unique()])) == [first.id]

        settled(broker, end(claim))
        (second,) = broker.enqueue([unique()])
        assert second.id != first.id
        assert stored_job(broker, first).once_key is None
        assert due_now(broker) == [second.id]

    def test_a_key_until_finished_is_free_when_people_end_its_job(self, broker: Broker) -> None:
        (one,) = broker.enqueue([unique()])
        broker.cancel([one.id])
        (two,) = broker.enqueue([unique()])
        assert two.id != one.id
        broker.delete([two.id])
        (three,) = broker.enqueue([unique()])
        assert three.id != two.id
        claim = claimed(broker)
        broker.cancel([three.id])
        settled(broker, Succeeded(claim=claim))
        (four,) = broker.enqueue([unique()])
        assert four.id != three.id
        assert due_now(broker) == [four.id]

    @pytest.mark.parametrize("back", BACK.values(), ids=BACK)
    def test_a_key_until_started_is_free_at_the_claim_and_never_taken_back(self, broker: Broker, back: Any) -> None:
        (first,) = broker.enqueue([unique(Until.STARTED)])
        assert ids_of(broker.enqueue([unique(Until.STARTED)])) == [first.id]
        claim = claimed(broker)
        assert claim.job.id == first.id
        (second,) = broker.enqueue([unique(Until.STARTED)])
        assert second.id != first.id

        settled(broker, back(claim))
        assert stored_job(broker, first).once_key is None
        assert ids_of(broker.enqueue([unique(Until.STARTED)])) == [second.id]
        broker.retry([first.id])
        assert sorted(due_now(broker)) == sorted([first.id, second.id])

    def test_a_key_until_started_survives_no_rescue(self, broker: Broker) -> None:
        lost = new_worker(lease=SHORT_LEASE)
        (first,) = broker.enqueue([unique(Until.STARTED)])
        claimed(broker, lost)
        (second,) = broker.enqueue([unique(Until.STARTED)])
        self.end_lease(broker, lost)
        (rescued,) = broker.rescue(10, signed_in(broker))
        settled(broker, Retrying(claim=rescued, attempt=attempt_of(rescued)))
        assert ids_of(broker.enqueue([unique(Until.STARTED)])) == [second.id]
        assert sorted(due_now(broker)) == sorted([first.id, second.id])

    def test_a_key_is_kept_for_as_long_as_its_job_waits(self, broker: Broker) -> None:
        (first,) = broker.enqueue([unique(run_after=self.now() + timedelta(days=400))])
        self.move_time(300 * 86_400)
        assert ids_of(broker.enqueue([unique()])) == [first.id]

    def test_a_retry_by_people_leaves_a_key_to_whom_has_it(self, broker: Broker) -> None:
        (first,) = broker.enqueue([unique()])
        claim = claimed(broker)
        settled(broker, Failed(claim=claim, attempt=attempt_of(claim)))
        (second,) = broker.enqueue([unique()])
        assert broker.retry([first.id]) == [first.id]
        assert ids_of(broker.enqueue([unique()])) == [second.id]
        for claim in broker.claim(None, 2, new_worker()):
            settled(broker, Succeeded(claim=claim))
        assert broker.enqueue([unique()])[0].id not in (first.id, second.id)

    def test_a_pruned_job_takes_no_key_from_its_successor(self, broker: Broker) -> None:
        claim = running(broker, once_key="unique", once_until=Until.FINISHED)
        settled(broker, Succeeded(claim=claim))
        (second,) = broker.enqueue([unique()])
        assert broker.prune(self.after(stored_job(broker, claim).finished_at), 10) == 1
        assert ids_of(broker.enqueue([unique()])) == [second.id]

    def test_a_follower_frees_and_takes_keys_too(self, broker: Broker) -> None:
        (first,) = broker.enqueue([unique()])
        follower = unique()
        settled(broker, Succeeded(claim=claimed(broker), then=(follower,)))
        assert due_now(broker) == [follower.id]
        assert first.id != follower.id


class ConcurrencyKeys(Promises):
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

    def test_a_follower_is_limited_too(self, broker: Broker) -> None:
        claim = running(broker)
        followers = [new_job(limits=one_of()) for _ in range(2)]
        settled(broker, Succeeded(claim=claim, then=tuple(followers)))
        assert due_now(broker) == [followers[0].id]


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


class Debouncing(Promises):
    def call(self, payload: str, wait: float = LONG, most: float | None = None, **values: Any) -> Job:
        return unique(Until.STARTED, payload=payload, debounce=wait, max_wait=most, **values)

    def test_the_last_call_before_the_start_counts(self, broker: Broker) -> None:
        (first,) = broker.enqueue([self.call('"one"', 0.2)])
        assert stored_job(broker, first).status is TaskStatus.SCHEDULED
        before = stored_job(broker, first).due_at
        self.move_time(0.1)
        (again,) = broker.enqueue([self.call('"two"', 0.4)])
        assert again.id == first.id
        stored = stored_job(broker, first)
        assert stored.payload == again.payload == '"two"'
        assert stored.due_at == stored.run_after > before
        (claim,) = self.claim_when_due(broker, 0.5, new_worker())
        assert (claim.job.id, claim.job.payload) == (first.id, '"two"')

        (second,) = broker.enqueue([self.call('"three"')])
        assert second.id != first.id
        assert stored_job(broker, first).payload == '"two"'

    def test_it_is_not_put_off_beyond_its_longest_wait(self, broker: Broker) -> None:
        (first,) = broker.enqueue([self.call('"one"', 100, 150)])
        broker.enqueue([self.call('"two"', 100, 150)])
        stored = stored_job(broker, first)
        assert stored.due_at - stored.enqueued_at <= timedelta(seconds=150)
        (first,) = broker.enqueue([self.call('"one"', 0.1, 0.1, queue="other")])
        broker.delete([first.id])

    def test_one_that_is_due_takes_arguments_until_it_starts(self, broker: Broker) -> None:
        (first,) = broker.enqueue([self.call('"one"', 0.05, 0.05)])
        self.move_time(1)
        wait_until(lambda: broker.wait(None, 0), "it is due")
        broker.enqueue([self.call('"two"', LONG, 0.05)])
        claim = claimed(broker)
        assert (claim.job.id, claim.job.payload) == (first.id, '"two"')

    def test_many_in_one_call_leave_the_last(self, broker: Broker) -> None:
        answer = broker.enqueue([self.call(f'"{number}"') for number in range(10)])
        assert len(set(ids_of(answer))) == 1
        assert stored_job(broker, answer[0]).payload == '"9"'

    def test_it_waits_in_line_with_what_it_was_told_last(self, broker: Broker) -> None:
        claim = running(broker, limits=one_of())
        (first,) = broker.enqueue([self.call('"one"', 0.05, 0.05, limits=one_of())])
        self.move_time(1)
        wait_until(lambda: self.now() > stored_job(broker, first).due_at, "it is due")
        broker.wait(None, 0)
        broker.enqueue([self.call('"two"', LONG, 0.05, limits=one_of())])
        assert due_now(broker) == []
        settled(broker, Succeeded(claim=claim))
        claim = claimed(broker)
        assert (claim.job.id, claim.job.payload) == (first.id, '"two"')


class LimitsInTheCrowd(Promises):
    """With the threads of `Races`."""

    def test_every_unique_job_runs_and_no_two_of_a_key_at_once(
        self, broker: Broker, in_threads: Callable[..., list[Any]]
    ) -> None:
        def work(own: Broker, number: int) -> list[str]:
            worker, answered = new_worker(str(number)), []
            for _ in range(15):
                (job,) = own.enqueue([new_job(once_key="key", once_until=Until.FINISHED)])
                answered.append(job.id)
                claims = own.claim(None, 10, worker)
                # Nobody else can have one: the key is held by what we hold.
                assert len(claims) <= 1
                assert own.settle([Succeeded(claim=claim) for claim in claims]) == []
            return answered

        answered = set(in_threads(work))

        broker.settle([Succeeded(claim=claim) for claim in broker.claim(None, 10, new_worker())])
        found = broker.get(answered)
        assert set(found) == answered
        assert {(job.status, job.token) for job in found.values()} == {(TaskStatus.SUCCESS, 1)}

    def test_a_concurrency_key_holds_in_the_crowd(self, broker: Broker, in_threads: Callable[..., list[Any]]) -> None:
        limits = (Limit(key="users", size=3), Limit(key="queue", size=2))
        jobs = broker.enqueue([new_job(limits=limits[number % 2 :]) for number in range(60)])
        lock, inside, most = Lock(), 0, []

        def work(own: Broker, number: int) -> list[str]:
            nonlocal inside
            choices, worker, mine = random.Random(number), new_worker(str(number)), []
            while any(each.counts[TaskStatus.PENDING] for each in own.counts()):
                claims = own.claim(None, choices.randint(1, 3), worker)
                with lock:
                    inside += len(claims)
                    most.append(inside)
                mine += ids_of(claims)
                with lock:
                    inside -= len(claims)
                assert own.settle([Succeeded(claim=claim) for claim in claims]) == []
            return mine

        assert sorted(in_threads(work)) == ids_of(jobs)
        assert max(most) <= 2


class Limits(UniqueJobs, ConcurrencyKeys, Rates, Debouncing, LimitsInTheCrowd):
    """All of them."""
