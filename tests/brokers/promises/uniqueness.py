"""Unique jobs: one for each key, until it has started or finished, for as long as it waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.gates import Until
from reinhardt_tasks.jobs import Failed, Retrying, Succeeded

from .base import (
    SHORT_LEASE,
    Promises,
    attempt_of,
    claimed,
    ids_of,
    new_worker,
    running,
    signed_in,
    stored_job,
)
from .limited import BACK, OUTCOMES, due_now, settled, unique


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
