"""Fences: a claim that was lost, given back or spent changes nothing any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Cancelled, Claim, Failed, Outcome, Progress, Released, Retrying, Succeeded

from .base import Promises, attempt_of, claimed, new_job, new_worker, running, signed_in, stored_job


def outcome_of(kind: type[Outcome], claim: Claim) -> Outcome:
    if kind is Succeeded:
        return Succeeded(claim=claim, result='"late"')
    if kind is Released:
        return Released(claim=claim)
    return kind(claim=claim, attempt=attempt_of(claim))


KINDS = pytest.mark.parametrize(
    "kind", [Succeeded, Failed, Retrying, Released, Cancelled], ids=lambda kind: kind.__name__
)


class Fencing(Promises):
    @KINDS
    def test_a_late_worker_cannot_settle_a_rescued_job(self, broker: Broker, kind: type[Outcome]) -> None:
        late, rescuer = new_worker("late"), signed_in(broker, "rescuer")
        claim = running(broker, late)
        broker.leave(late)
        (rescued,) = self.another_broker().rescue(10, rescuer)
        before = stored_job(broker, claim)

        assert broker.settle([outcome_of(kind, claim)]) == [claim]

        assert stored_job(broker, claim) == before
        assert broker.claim(None, 10, new_worker()) == []
        assert broker.settle([outcome_of(Succeeded, rescued)]) == []

    @KINDS
    def test_a_job_given_back_and_claimed_again_is_fenced_from_the_first_claim(
        self, broker: Broker, kind: type[Outcome]
    ) -> None:
        worker = new_worker()
        old = running(broker, worker)
        broker.settle([Released(claim=old)])
        new = claimed(broker, worker)
        assert new.job.id == old.job.id
        assert new.token > old.token

        assert broker.settle([outcome_of(kind, old)]) == [old]

        assert stored_job(broker, new) == new.job
        assert broker.settle([Succeeded(claim=new)]) == []

    @KINDS
    def test_a_claim_is_spent_once(self, broker: Broker, kind: type[Outcome]) -> None:
        claim = running(broker)
        assert broker.settle([outcome_of(kind, claim)]) == []
        before = stored_job(broker, claim)
        assert broker.settle([outcome_of(kind, claim)]) == [claim]
        assert broker.settle([Failed(claim=claim, attempt=attempt_of(claim))]) == [claim]
        assert stored_job(broker, claim) == before

    def test_a_job_that_is_gone_is_lost(self, broker: Broker) -> None:
        claim = running(broker)
        stranger = replace(claim, job=new_job())
        broker.settle([Succeeded(claim=claim)])
        broker.delete([claim.job.id])
        assert broker.settle([Succeeded(claim=claim), Succeeded(claim=stranger)]) == [claim, stranger]

    def test_a_lost_claim_annotates_nothing(self, broker: Broker) -> None:
        late, rescuer = new_worker("late"), signed_in(broker, "rescuer")
        claim = running(broker, late, metadata={"kept": True})
        assert broker.annotate(claim, {"kept": True, "mine": 1}, Progress(1, 10))
        broker.leave(late)
        (rescued,) = broker.rescue(10, rescuer)

        assert broker.annotate(claim, {"lost": True}, Progress(9, 10)) is False
        assert stored_job(broker, claim).metadata == {"kept": True, "mine": 1}
        assert stored_job(broker, claim).progress == (1, 10)

        assert broker.annotate(rescued, {"rescued": True}, None)
        broker.settle([Succeeded(claim=rescued)])
        assert broker.annotate(rescued, {"late": True}, None) is False
        assert stored_job(broker, claim).metadata == {"rescued": True}
