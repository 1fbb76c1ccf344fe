"""Attempts: another one after a delay, and a history that is never lost."""

from __future__ import annotations

from datetime import timedelta

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Attempt, Failed, Retrying, Succeeded, TaskStatus

from .base import LONG, SOON, Promises, attempt_of, claimed, new_job, new_worker, running, stored_job


class Retries(Promises):
    def test_a_retry_without_delay_is_ready_at_once(self, broker: Broker) -> None:
        claim = running(broker)
        broker.settle([Retrying(claim=claim, attempt=attempt_of(claim), delay=0)])
        assert stored_job(broker, claim).status is TaskStatus.PENDING
        again = claimed(broker)
        assert (again.job.id, again.job.failures) == (claim.job.id, 1)

    def test_a_retry_without_delay_lets_those_before_it_pass(self, broker: Broker) -> None:
        first, second = broker.enqueue([new_job(), new_job()])
        worker = new_worker()
        claim = claimed(broker, worker)
        self.after(self.now())
        broker.settle([Retrying(claim=claim, attempt=attempt_of(claim), delay=0)])
        assert [claimed(broker, worker).job.id for _ in range(2)] == [second.id, first.id]

    def test_a_retry_is_ready_after_its_delay(self, broker: Broker) -> None:
        worker = new_worker()
        near, far = running(broker, worker), running(broker, worker)
        outcomes = [
            Retrying(claim=near, attempt=attempt_of(near), delay=SOON),
            Retrying(claim=far, attempt=attempt_of(far), delay=LONG),
        ]
        assert broker.settle(outcomes) == []
        waiting = stored_job(broker, near)
        assert waiting.due_at >= near.job.started_at + timedelta(seconds=SOON)

        (again,) = self.claim_when_due(broker, SOON, worker)
        assert again.job.id == near.job.id
        assert again.job.started_at >= waiting.due_at
        assert broker.claim(None, 10, worker) == []
        assert stored_job(broker, far).status is TaskStatus.RETRY

    def test_the_history_of_all_attempts_is_kept(self, broker: Broker) -> None:
        (job,) = broker.enqueue([new_job()])
        written = []
        for number in range(4):
            claim = claimed(broker, new_worker(f"worker-{number}"))
            attempt = attempt_of(
                claim,
                finished_at=claim.job.started_at + timedelta(microseconds=number),
                exception=f"project.errors.Error{number}",
                traceback=f"Traceback {number}\n" + "line\n" * 1000,
                lost=number == 1,
            )
            written.append(attempt)
            broker.settle([Retrying(claim=claim, attempt=attempt)])
        last = claimed(broker, new_worker("last"))
        assert last.job.history == tuple(written)
        assert (last.job.failures, last.job.losses) == (3, 1)

        broker.settle([Succeeded(claim=last)])
        done = stored_job(broker, job)
        assert done.history == tuple(written)
        assert done.worker_ids == [*(attempt.worker for attempt in written), last.worker]

    def test_an_attempt_that_does_not_say_when_it_ended_ended_when_it_was_settled(self, broker: Broker) -> None:
        claim = running(broker)
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim, finished_at=None))])
        job = stored_job(broker, claim)
        (attempt,) = job.history
        assert attempt.started_at == claim.job.started_at
        assert claim.job.started_at <= attempt.finished_at <= job.finished_at + timedelta(seconds=60)

    def test_an_attempt_that_never_began_may_be_recorded(self, broker: Broker) -> None:
        claim = running(broker)
        attempt = Attempt(worker="", started_at=None, finished_at=self.now(), exception="TaskNotFound", traceback="")
        broker.settle([Failed(claim=claim, attempt=attempt)])
        assert stored_job(broker, claim).history == (attempt,)
