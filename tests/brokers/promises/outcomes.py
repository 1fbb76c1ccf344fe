"""Settling: every kind of outcome, many at once, and what follows a success."""

from __future__ import annotations

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Cancelled, Failed, Released, Retrying, Succeeded, TaskStatus

from .base import (
    LONG,
    SOON,
    Promises,
    attempt_of,
    claimed,
    enqueued,
    ids_of,
    new_job,
    new_worker,
    running,
    stored_job,
)


class Outcomes(Promises):
    def test_all_kinds_are_settled_in_one_call_and_the_lost_are_returned(self, broker: Broker) -> None:
        worker = new_worker()
        broker.enqueue([new_job() for _ in range(8)])
        one, two, three, four, five, six, lost, spent = broker.claim(None, 8, worker)
        broker.settle([Succeeded(claim=spent), Released(claim=lost, delay=LONG)])

        answer = broker.settle(
            [
                Failed(claim=lost, attempt=attempt_of(lost)),
                Succeeded(claim=one, result="1"),
                Failed(claim=two, attempt=attempt_of(two)),
                Retrying(claim=three, attempt=attempt_of(three)),
                Retrying(claim=four, attempt=attempt_of(four), delay=LONG),
                Succeeded(claim=spent, result="2"),
                Released(claim=five),
                Cancelled(claim=six, attempt=attempt_of(six)),
            ]
        )

        assert answer == [lost, spent]
        claims = (one, two, three, four, five, six, lost, spent)
        assert [stored_job(broker, claim).status.value for claim in claims] == [
            "SUCCESS",
            "FAILURE",
            "PENDING",
            "RETRY",
            "PENDING",
            "CANCELLED",
            "SCHEDULED",
            "SUCCESS",
        ]
        assert [stored_job(broker, claim).failures for claim in claims] == [0, 1, 1, 1, 0, 1, 0, 0]
        assert [stored_job(broker, claim).result for claim in (one, spent)] == ["1", "null"]
        assert broker.heartbeat(worker).held == {}

    def test_a_job_given_back_keeps_its_place_and_has_no_history(self, broker: Broker) -> None:
        jobs = enqueued(broker, *(new_job() for _ in range(3)))
        worker = new_worker()
        claim = claimed(broker, worker)
        assert broker.settle([Released(claim=claim)]) == []
        released = stored_job(broker, claim)
        assert (released.status, released.history, released.due_at) == (TaskStatus.PENDING, (), jobs[0].due_at)
        assert released.worker_ids == []
        assert ids_of(broker.claim(None, 10, worker)) == ids_of(jobs)

    def test_a_job_given_back_for_later_is_ready_after_its_delay(self, broker: Broker) -> None:
        worker = new_worker()
        near, far = running(broker, worker), running(broker, worker)
        broker.settle([Released(claim=near, delay=SOON), Released(claim=far, delay=LONG)])
        assert stored_job(broker, far).status is TaskStatus.SCHEDULED
        (again,) = self.claim_when_due(broker, SOON, worker)
        assert again.job.id == near.job.id
        assert again.job.started_at >= stored_job(broker, near).due_at
        assert (again.job.history, broker.claim(None, 10, worker)) == ((), [])

    def test_exchange_settles_and_claims(self, broker: Broker) -> None:
        worker = new_worker()
        first, second, third = broker.enqueue([new_job() for _ in range(3)])
        assert broker.exchange([], None, 0, worker) == ([], [])
        lost, (claim,) = broker.exchange([], None, 1, worker)
        assert (lost, claim.job.id) == ([], first.id)

        lost, (following,) = broker.exchange([Succeeded(claim=claim)], ["default"], 1, worker)
        assert (lost, following.job.id) == ([], second.id)
        assert stored_job(broker, first).status is TaskStatus.SUCCESS

        answer = broker.exchange([Succeeded(claim=claim), Succeeded(claim=following)], None, 0, worker)
        assert answer == ([claim], [])
        assert stored_job(broker, second).status is TaskStatus.SUCCESS
        assert stored_job(broker, third).status is TaskStatus.PENDING

    def test_outcomes_may_be_given_by_the_name_that_the_contract_has_for_them(self, broker: Broker) -> None:
        worker = new_worker()
        broker.enqueue([new_job(), new_job()])
        first, second = broker.claim(None, 2, worker)
        assert broker.settle(outcomes=[Succeeded(claim=first)]) == []
        assert broker.exchange(outcomes=[Succeeded(claim=second)], queues=None, limit=1, worker=worker) == ([], [])

    def test_an_exchange_can_claim_what_it_has_given_back_itself(self, broker: Broker) -> None:
        worker = new_worker()
        claim = running(broker, worker)
        (lost, claims) = broker.exchange([Released(claim=claim)], None, 5, worker)
        assert (lost, ids_of(claims)) == ([], [claim.job.id])
