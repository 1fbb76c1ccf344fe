"""Functions and coroutines: a claim may ask for one kind alone, or have room of its own for each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import BOTH, Broker, Changes, Kinds, Queues, Room
from reinhardt_tasks.gates import Limit
from reinhardt_tasks.jobs import Failed, Job, Released, Retrying, Succeeded
from tests.servers import wait_until

from .base import LONG, SOON, Promises, attempt_of, claimed, ids_of, new_job, new_worker, signed_in, stored_job
from .waiting import WaitingThread, begun

FUNCTIONS, COROUTINES = Room(functions=100, coroutines=0, total=100), Room(functions=0, coroutines=100, total=100)


def function(**values: Any) -> Job:
    return new_job(is_async=False, **values)


def coroutine(**values: Any) -> Job:
    return new_job(is_async=True, **values)


def only(is_async: bool) -> Room:
    return COROUTINES if is_async else FUNCTIONS


class KindPromises(Promises):
    def test_a_job_keeps_its_kind(self, broker: Broker) -> None:
        jobs = broker.enqueue([function(), coroutine(), coroutine(run_after=self.now() + timedelta(seconds=LONG))])
        assert [stored_job(broker, job).is_async for job in jobs] == [False, True, True]
        assert [claim.job.is_async for claim in broker.claim(None, 10, new_worker())] == [False, True]

    @pytest.mark.parametrize("queues", [None, ["default"], ["other", "default"]])
    def test_a_claim_for_one_kind_gets_that_kind_in_its_order(self, broker: Broker, queues: Queues) -> None:
        jobs = [new_job(is_async=number % 2 == 0, priority=number % 3) for number in range(12)]
        broker.enqueue(jobs)
        worker = new_worker()
        for is_async in (True, False):
            its = sorted((job for job in jobs if job.is_async is is_async), key=lambda job: -job.priority)
            assert ids_of(broker.claim(queues, only(is_async), worker)) == ids_of(its)

    @pytest.mark.parametrize("is_async", BOTH)
    def test_a_claim_for_one_kind_finds_it_behind_any_number_of_the_other(self, broker: Broker, is_async: bool) -> None:
        broker.enqueue([new_job(is_async=not is_async, priority=100) for _ in range(3_000)])
        last = new_job(is_async=is_async, priority=-100)
        broker.enqueue([last])
        assert ids_of(broker.claim(["default"], only(is_async), new_worker())) == [last.id]

    @pytest.mark.parametrize("queues", [None, ["default"], ["default", "other"]])
    def test_order_across_kinds_is_by_priority_then_run_after_then_age(self, broker: Broker, queues: Queues) -> None:
        hour_ago = self.now() - timedelta(hours=1)
        jobs = [
            new_job(priority=priority, is_async=is_async, run_after=hour_ago + timedelta(minutes=minutes))
            for priority in (100, 0, -100)
            for minutes in (0, 1)
            for is_async in (True, False, False, True)
        ]
        broker.enqueue(list(reversed(jobs)))
        worker, order = new_worker(), []
        while claims := broker.claim(queues, 5, worker):
            order += ids_of(claims)
        assert order == ids_of(jobs)

    @pytest.mark.parametrize("queues", [None, ["default", "other"]])
    def test_each_kind_has_room_of_its_own(self, broker: Broker, queues: Queues) -> None:
        jobs = [
            new_job(is_async=is_async, queue=queue)
            for is_async in (True, False)
            for queue in ("default", "other")
            for _ in range(5)
        ]
        broker.enqueue(jobs)
        worker = new_worker()
        found = broker.claim(queues, Room(functions=3, coroutines=6, total=50), worker)
        assert sorted(claim.job.is_async for claim in found) == [False] * 3 + [True] * 6
        assert len(broker.claim(queues, Room(functions=50, coroutines=50, total=2), worker)) == 2
        assert broker.claim(queues, Room(functions=0, coroutines=0, total=5), worker) == []
        assert broker.claim(queues, Room(functions=5, coroutines=5, total=0), worker) == []
        assert len(broker.claim(queues, Room(functions=50, coroutines=50, total=50), worker)) == 9

    def test_an_exchange_has_room_too(self, broker: Broker) -> None:
        broker.enqueue([function(), coroutine(), function(), coroutine()])
        worker = new_worker()
        first = claimed(broker, worker)
        lost, claims = broker.exchange([Succeeded(claim=first)], None, COROUTINES, worker)
        assert (lost, [claim.job.is_async for claim in claims]) == ([], [True, True])
        lost, claims = broker.exchange([Succeeded(claim=claim) for claim in claims], None, FUNCTIONS, worker)
        assert (lost, [claim.job.is_async for claim in claims]) == ([], [False])

    @pytest.mark.parametrize("is_async", BOTH)
    def test_a_job_keeps_its_kind_wherever_it_moves(self, broker: Broker, is_async: bool) -> None:
        own, other, worker = only(is_async), only(not is_async), new_worker()
        (job,) = broker.enqueue([new_job(is_async=is_async)])

        def claim_it() -> Any:
            assert broker.claim(None, other, worker) == []
            (claim,) = broker.claim(None, own, worker)
            assert claim.job.id == job.id and claim.job.is_async is is_async
            return claim

        broker.settle([Released(claim=claim_it())])
        claim = claim_it()
        broker.settle([Retrying(claim=claim, attempt=attempt_of(claim))])
        claim = claim_it()
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim))])
        assert broker.retry([job.id]) == [job.id]
        broker.settle([Released(claim=claim_it())])
        assert broker.change([job.id], Changes(queue="other", priority=7)) == [job.id]
        broker.settle([Released(claim=claim_it())])
        broker.change([job.id], Changes(run_after=self.now() + timedelta(seconds=SOON)))
        self.move_time(SOON)
        (claim,) = wait_until(lambda: broker.claim(None, own, worker), "it is due")
        assert claim.job.is_async is is_async

    @pytest.mark.parametrize("is_async", BOTH)
    def test_a_rescued_job_keeps_its_kind(self, broker: Broker, is_async: bool) -> None:
        lost, rescuer = new_worker(lease=0.5), signed_in(broker, "rescuer")
        (job,) = broker.enqueue([new_job(is_async=is_async)])
        claimed(broker, lost)
        self.end_lease(broker, lost)
        (claim,) = wait_until(lambda: broker.rescue(10, rescuer), "it is rescued")
        assert claim.job.is_async is is_async
        broker.settle([Released(claim=claim)])
        assert broker.claim(None, only(not is_async), rescuer) == []
        assert ids_of(broker.claim(None, only(is_async), rescuer)) == [job.id]

    @pytest.mark.parametrize("is_async", BOTH)
    def test_a_limited_job_keeps_its_kind(self, broker: Broker, is_async: bool) -> None:
        jobs = [new_job(is_async=is_async, limits=(Limit(key="one", size=1),)) for _ in range(2)]
        broker.enqueue(jobs)
        worker = new_worker()
        for job in jobs:
            assert broker.claim(None, only(not is_async), worker) == []
            (claim,) = wait_until(lambda: broker.claim(None, only(is_async), worker), "it is let pass")
            assert claim.job.id == job.id
            broker.settle([Succeeded(claim=claim)])

    @pytest.mark.parametrize("is_async", BOTH)
    def test_the_kind_of_a_job_that_waits_can_be_changed(self, broker: Broker, is_async: bool) -> None:
        worker = new_worker()
        (job,) = broker.enqueue([new_job(is_async=is_async)])
        assert broker.change([job.id], Changes(is_async=not is_async)) == [job.id]
        assert broker.claim(None, only(is_async), worker) == []
        (claim,) = broker.claim(None, only(not is_async), worker)
        assert claim.job.is_async is not is_async
        assert broker.change([job.id], Changes(is_async=is_async)) == []

    def test_a_paused_queue_gives_neither(self, broker: Broker) -> None:
        broker.enqueue([function(), coroutine()])
        broker.pause("default")
        worker = new_worker()
        assert broker.claim(None, FUNCTIONS, worker) + broker.claim(["default"], COROUTINES, worker) == []
        broker.resume("default")
        assert len(broker.claim(None, FUNCTIONS, worker)) == len(broker.claim(["default"], COROUTINES, worker)) == 1

    @pytest.mark.parametrize("is_async", BOTH)
    def test_people_see_both_kinds_as_one(self, broker: Broker, is_async: bool) -> None:
        hour_ago = self.now() - timedelta(hours=1)
        jobs = [
            new_job(is_async=number % 2 == is_async, run_after=hour_ago + timedelta(minutes=number))
            for number in range(3)
        ]
        broker.enqueue(jobs)
        (counts,) = broker.counts()
        assert (counts.counts["PENDING"], counts.oldest_due_at) == (3, jobs[0].run_after)
        assert broker.cancel([jobs[0].id]) == [jobs[0].id]
        assert broker.counts()[0].oldest_due_at == jobs[1].run_after
        assert broker.delete([jobs[1].id]) == [jobs[1].id]
        worker = new_worker()
        assert broker.claim(None, only(jobs[1].is_async), worker) == []
        assert ids_of(broker.claim(None, only(jobs[2].is_async), worker)) == [jobs[2].id]

    @pytest.mark.parametrize("queues", [None, ["default"]])
    @pytest.mark.parametrize("is_async", BOTH)
    def test_who_waits_for_one_kind_is_not_kept_awake_by_the_other(
        self, broker: Broker, is_async: bool, queues: Queues
    ) -> None:
        kinds: Kinds = (is_async,)
        broker.enqueue([new_job(is_async=not is_async)])
        assert broker.wait(queues, 0.05, kinds) is False
        assert broker.wait(queues, 0, (not is_async,)) is True
        broker.enqueue([new_job(is_async=is_async)])
        assert broker.wait(queues, 0, kinds) is True

    @pytest.mark.parametrize("is_async", BOTH)
    def test_who_waits_for_one_kind_hears_of_it_and_takes_no_news_from_others(
        self, broker: Broker, is_async: bool
    ) -> None:
        kinds: Kinds = (is_async,)
        with begun(WaitingThread(broker, kinds=kinds)) as futures:
            # This one is for the other.
            with begun(WaitingThread(self.another_broker())):
                self.another_broker().enqueue([new_job(is_async=not is_async)])
            assert not any(future.done() for future in futures)
            self.another_broker().enqueue([new_job(is_async=is_async)])

    @pytest.mark.parametrize("is_async", BOTH)
    def test_who_waits_for_one_kind_hears_of_a_queue_that_is_resumed(self, broker: Broker, is_async: bool) -> None:
        broker.enqueue([new_job(is_async=is_async)])
        broker.pause("default")
        with begun(WaitingThread(broker, kinds=(is_async,))):
            self.another_broker().resume("default")

    @pytest.mark.parametrize("is_async", BOTH)
    @pytest.mark.parametrize("together", [False, True])
    def test_who_waits_for_one_kind_hears_of_what_is_due_behind_the_other(
        self, broker: Broker, together: bool, is_async: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nobody looks by itself before it is told.
        monkeypatch.setattr("reinhardt_tasks.brokers.redis.sleeping.NAP", 60)
        with begun(WaitingThread(broker, kinds=(is_async,))):
            moments = [self.now() + timedelta(seconds=each * SOON) for each in (2, 3)]
            other = new_job(is_async=not is_async, run_after=moments[0])
            its = new_job(is_async=is_async, run_after=moments[1])
            for some in ([other, its],) if together else ([other], [its]):
                self.another_broker().enqueue(some)
            self.move_time(3 * SOON)

    @pytest.mark.parametrize("is_async", BOTH)
    def test_who_waits_for_one_kind_hears_of_what_becomes_due(self, broker: Broker, is_async: bool) -> None:
        with begun(WaitingThread(broker, kinds=(is_async,))):
            later = self.now() + timedelta(seconds=SOON)
            self.another_broker().enqueue([new_job(is_async=is_async, run_after=later)])
            self.move_time(SOON)
