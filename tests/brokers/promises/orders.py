"""Which job is claimed first."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from reinhardt_tasks.brokers.base import Broker, Queues
from reinhardt_tasks.jobs import Released, Succeeded, TaskStatus

from .base import Promises, claimed, ids_of, new_job, new_worker


class Orders(Promises):
    def test_priority_comes_first_then_run_after_then_age(self, broker: Broker, rng: random.Random) -> None:
        hour_ago = self.now() - timedelta(hours=1)
        jobs = [
            new_job(priority=priority, run_after=hour_ago + timedelta(minutes=minutes))
            for priority in (100, 20, 0, -1, -100)
            for minutes in (0, 1, 2)
            for _age in range(3)
        ]
        shuffled = rng.sample(jobs, len(jobs))
        for start in range(0, len(shuffled), 10):
            broker.enqueue(shuffled[start : start + 10])

        worker, order = new_worker(), []
        while claims := broker.claim(None, rng.randint(1, 7), worker):
            order += ids_of(claims)

        assert order == ids_of(jobs)

    @pytest.mark.parametrize("queues", [None, ["default"]])
    def test_a_more_urgent_job_overtakes_those_that_wait(self, broker: Broker, queues: Queues) -> None:
        first, second, third = broker.enqueue([new_job() for _ in range(3)])
        worker = new_worker()
        claim = claimed(broker, worker, queues)
        assert claim.job.id == first.id

        (urgent,) = self.another_broker().enqueue([new_job(priority=1)])
        assert claimed(broker, worker, queues).job.id == urgent.id
        assert claimed(broker, worker, queues).job.id == second.id
        broker.settle([Released(claim=claim)])
        assert ids_of(broker.claim(queues, 10, worker)) == ids_of([first, third])

    def test_jobs_enqueued_one_after_the_other_run_in_that_order(self, broker: Broker) -> None:
        jobs = [broker.enqueue([new_job()])[0] for _ in range(12)]
        assert ids_of(broker.claim(None, 100, new_worker())) == ids_of(jobs)

    def test_ten_thousand_jobs_enqueued_at_once_run_in_their_order(self, broker: Broker) -> None:
        jobs = [new_job() for _ in range(10_000)]
        assert ids_of(broker.enqueue(jobs)) == ids_of(jobs)

        worker, order, outcomes = new_worker(), [], []
        while claims := broker.exchange(outcomes, None, 1_000, worker)[1]:
            order += ids_of(claims)
            outcomes = [Succeeded(claim=claim) for claim in claims]

        assert order == ids_of(jobs)
        assert {job.status for job in broker.get(order).values()} == {TaskStatus.SUCCESS}

    def test_priority_comes_first_across_queues(self, broker: Broker) -> None:
        low, high, middle = (
            new_job(queue=queue, priority=priority) for queue, priority in (("a", -5), ("b", 5), ("a", 0))
        )
        broker.enqueue([low, high, middle])
        worker = new_worker()
        order = [ids_of(broker.claim(["a", "b"], 1, worker))[0] for _ in range(3)]
        assert order == ids_of([high, middle, low])

    def test_a_claim_takes_no_more_than_its_limit(self, broker: Broker) -> None:
        broker.enqueue([new_job() for _ in range(5)])
        worker = new_worker()
        assert [len(broker.claim(None, 3, worker)) for _ in range(3)] == [3, 2, 0]

    def test_a_job_that_becomes_due_takes_its_place_by_priority(self, broker: Broker) -> None:
        urgent = new_job(priority=50, run_after=self.now() + timedelta(seconds=0.3))
        broker.enqueue([urgent])
        self.move_time(0.3)
        self.after(urgent.run_after)
        broker.enqueue([new_job()])
        assert ids_of(broker.claim(None, 1, new_worker())) == [urgent.id]
