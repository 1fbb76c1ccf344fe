"""Many at once, in threads with brokers of their own and in threads that share one: nothing runs twice, nothing is lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker, Query
from reinhardt_tasks.jobs import Failed, Released, Succeeded, TaskStatus

from .base import Promises, attempt_of, ids_of, new_job, new_worker, running, signed_in, stored_job

THREADS = 8


class Races(Promises):
    @pytest.fixture(params=["own", "shared"])
    def in_threads(
        self, request: pytest.FixtureRequest, broker: Broker
    ) -> Callable[[Callable[[Broker, int], list[Any]]], list[Any]]:
        """Run a function in eight threads at once, each with its broker and number; return all that they returned."""
        start = Barrier(THREADS)

        def one(function: Callable[[Broker, int], list[Any]], number: int) -> list[Any]:
            own = self.another_broker() if request.param == "own" else broker
            try:
                start.wait(timeout=60)
                return function(own, number)
            finally:
                own.close()

        def run(function: Callable[[Broker, int], list[Any]]) -> list[Any]:
            with ThreadPoolExecutor(THREADS) as threads:
                futures = [threads.submit(one, function, number) for number in range(THREADS)]
                return [item for future in futures for item in future.result()]

        return run

    def test_each_job_is_claimed_once(self, broker: Broker, in_threads: Callable[..., list[Any]]) -> None:
        jobs = broker.enqueue([new_job() for _ in range(400)])

        def work(own: Broker, number: int) -> list[str]:
            choices, worker, mine = random.Random(number), new_worker(str(number)), []
            outcomes: list[Succeeded] = []
            while True:
                lost, claims = own.exchange(outcomes, None, choices.randint(1, 7), worker)
                assert lost == []
                if not claims:
                    return mine
                mine += ids_of(claims)
                outcomes = [Succeeded(claim=claim) for claim in claims]

        done = in_threads(work)

        assert sorted(done) == ids_of(jobs)
        assert {job.status for job in broker.get(done).values()} == {TaskStatus.SUCCESS}

    def test_jobs_that_are_given_back_in_the_crowd_succeed_once(
        self, broker: Broker, in_threads: Callable[..., list[Any]]
    ) -> None:
        jobs = broker.enqueue([new_job(queue=f"q{number % 3}") for number in range(120)])

        def work(own: Broker, number: int) -> list[str]:
            choices, worker, mine = random.Random(number), new_worker(str(number)), []
            while claims := own.claim(None, choices.randint(1, 5), worker):
                own.heartbeat(worker)
                kept = [claim for claim in claims if choices.random() < 0.7]
                given_back = [Released(claim=claim) for claim in claims if claim not in kept]
                assert own.settle([*(Succeeded(claim=claim) for claim in kept), *given_back]) == []
                mine += ids_of(kept)
            return mine

        assert sorted(in_threads(work)) == ids_of(jobs)
        assert {job.status for job in broker.get(ids_of(jobs)).values()} == {TaskStatus.SUCCESS}

    def test_looking_on_does_no_harm(self, broker: Broker, in_threads: Callable[..., list[Any]]) -> None:
        jobs = broker.enqueue([new_job(queue=f"q{number % 20}") for number in range(200)])

        def work_or_look(own: Broker, number: int) -> list[str]:
            worker, mine = signed_in(own, str(number)), []
            while number % 2 and (claims := own.claim(None, 3, worker)):
                mine += ids_of(claims)
                assert own.settle([Succeeded(claim=claim) for claim in claims]) == []
            while not number % 2 and any(each.counts[TaskStatus.PENDING] for each in own.counts()):
                own.workers()
                own.find(Query(statuses=(TaskStatus.RUNNING,)))
                own.wait(None, 0)
            return mine

        assert sorted(in_threads(work_or_look)) == ids_of(jobs)

    def test_each_job_of_the_lost_is_rescued_once(self, broker: Broker, in_threads: Callable[..., list[Any]]) -> None:
        jobs = broker.enqueue([new_job() for _ in range(100)])
        for _ in range(4):
            lost = new_worker("lost")
            assert len(broker.claim(None, 25, lost)) == 25
            broker.leave(lost)

        def rescue(own: Broker, number: int) -> list[str]:
            rescuer, mine = signed_in(own, f"rescuer-{number}"), []
            while claims := own.rescue(9, rescuer):
                mine += ids_of(claims)
                assert own.settle([Failed(claim=claim, attempt=attempt_of(claim)) for claim in claims]) == []
            return mine

        rescued = in_threads(rescue)
        rescued += rescue(broker, THREADS)
        assert sorted(rescued) == ids_of(jobs)

    def test_a_once_key_is_won_by_one(self, broker: Broker, in_threads: Callable[..., list[Any]]) -> None:
        keys = [f"key-{number}" for number in range(10)]

        def enqueue(own: Broker, number: int) -> list[tuple[str | None, str]]:
            mixed = random.Random(number).sample(keys, len(keys))
            return [(job.once_key, job.id) for job in own.enqueue([new_job(once_key=key) for key in mixed])]

        winners = set(in_threads(enqueue))

        assert sorted(key for key, _ in winners) == keys
        assert sorted(ids_of(broker.claim(None, 1_000, new_worker()))) == sorted(id_ for _, id_ in winners)

    def test_a_claim_is_spent_by_one(self, broker: Broker, in_threads: Callable[..., list[Any]]) -> None:
        claim = running(broker)
        settled: list[str] = []

        def settle(own: Broker, number: int) -> list[bool]:
            is_mine = own.settle([Succeeded(claim=claim, result=str(number))]) == []
            settled.extend([str(number)] if is_mine else [])
            return [is_mine]

        assert Counter(in_threads(settle)) == {True: 1, False: THREADS - 1}
        assert [stored_job(broker, claim).result] == settled

    def test_a_job_is_cancelled_or_claimed_but_not_both(
        self, broker: Broker, in_threads: Callable[..., list[Any]]
    ) -> None:
        jobs = broker.enqueue([new_job() for _ in range(60)])

        def race(own: Broker, number: int) -> list[str]:
            if number % 2:
                for job in random.Random(number).sample(jobs, len(jobs)):
                    own.cancel([job.id])
                return []
            worker, mine = new_worker(str(number)), []
            while claims := own.claim(None, 2, worker):
                mine += ids_of(claims)
            return mine

        claimed = in_threads(race)

        assert len(claimed) == len(set(claimed))
        states = {job.id: job.status for job in broker.get(ids_of(jobs)).values()}
        assert {id_ for id_, status in states.items() if status is TaskStatus.RUNNING} == set(claimed)
        assert {status for id_, status in states.items() if id_ not in claimed} <= {TaskStatus.CANCELLED}
