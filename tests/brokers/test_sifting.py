"""What a store does not take keeps no other, and is known afterwards."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from reinhardt_tasks.brokers.sifting import send_all_that_can_be
from reinhardt_tasks.exceptions import JobsRefused, QueueError
from reinhardt_tasks.jobs import Job

from .promises.base import new_job


class Store:
    """Takes all or none; `parts` of it may be away, and it refuses the queue "bad"."""

    def __init__(self, *away: str) -> None:
        self.away = away
        self.taken: list[str] = []
        self.calls = 0

    def part_of(self, job: Job) -> Hashable:
        return job.name

    def send(self, jobs: list[Job]) -> None:
        self.calls += 1
        if any(job.name in self.away for job in jobs):
            raise QueueError("It does not answer.")
        if any(job.queue == "bad" for job in jobs):
            raise JobsRefused("It does not take that.")
        self.taken += [job.id for job in jobs]


def test_what_a_store_takes_goes_at_once() -> None:
    store, jobs = Store(), [new_job(name=name) for name in ("a", "b", "a")]
    unsent = send_all_that_can_be(jobs, store.send, store.part_of)
    assert (unsent.refused, unsent.away, store.calls) == ({}, {}, 1)
    assert store.taken == [job.id for job in jobs]


def test_what_is_refused_and_what_is_away_keep_no_other() -> None:
    store = Store("b")
    good, bad, lost = new_job(name="a"), new_job(name="a", queue="bad"), new_job(name="b")
    unsent = send_all_that_can_be([bad, lost, good], store.send, store.part_of)
    assert store.taken == [good.id]
    assert (list(unsent.refused), list(unsent.away)) == ([bad.id], [lost.id])


@pytest.mark.parametrize("number", [1, 50])
def test_a_store_that_is_away_is_asked_once(number: int) -> None:
    """It may take many seconds to say nothing."""
    store = Store("a")
    unsent = send_all_that_can_be([new_job(name="a") for _ in range(number)], store.send, store.part_of)
    assert (store.calls, len(unsent.away)) == (1, number)


def test_a_store_that_goes_away_among_refusals_is_asked_no_more() -> None:
    store = Store()
    jobs = [new_job(name="a", queue="bad"), *(new_job(name="a") for _ in range(50))]

    def send(some: list[Job]) -> None:
        if store.calls == 2:
            store.away = ("a",)
        store.send(some)

    unsent = send_all_that_can_be(jobs, send, store.part_of)
    assert (list(unsent.refused), len(unsent.away), store.calls) == ([jobs[0].id], 50, 3)
