"""Limits: unique jobs, concurrency keys, rates, debouncing; and all of them in the crowd."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.gates import Limit, Until
from reinhardt_tasks.jobs import Succeeded, TaskStatus

from .base import (
    Promises,
    ids_of,
    new_job,
    new_worker,
)
from .concurrency import ConcurrencyKeys
from .debouncing import Debouncing
from .heldback import HeldBack
from .rates import Rates
from .uniqueness import UniqueJobs


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
            deadline = time.monotonic() + 120
            while any(each.counts[TaskStatus.PENDING] for each in own.counts()):
                assert time.monotonic() < deadline, "nothing moves"
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


class Limits(UniqueJobs, ConcurrencyKeys, Rates, Debouncing, HeldBack, LimitsInTheCrowd):
    """All of them."""
