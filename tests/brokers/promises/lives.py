"""The states of a job's life, one after the other."""

from __future__ import annotations

from datetime import timedelta

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.jobs import Failed, Retrying, Succeeded, TaskStatus

from .base import LONG, SOON, Promises, attempt_of, claimed, enqueued, new_job, new_worker, stored_job


class Lives(Promises):
    def test_a_job_goes_from_pending_to_running_to_success(self, broker: Broker) -> None:
        worker = new_worker()
        (job,) = enqueued(broker, new_job())
        assert (job.status, job.token, job.worker, job.started_at) == (TaskStatus.PENDING, 0, None, None)
        assert job.enqueued_at is not None
        assert job.due_at is not None

        claim = claimed(broker, worker)
        assert (claim.job.id, claim.worker, claim.job.worker) == (job.id, worker.id, worker.id)
        assert claim.token == claim.job.token > 0
        assert claim.job.started_at >= job.due_at
        assert claim.job.first_started_at is not None
        assert stored_job(broker, job) == claim.job
        assert claim.job.status is TaskStatus.RUNNING

        assert broker.settle([Succeeded(claim=claim, result='{"answer": 42}')]) == []
        done = stored_job(broker, job)
        assert (done.status, done.result, done.history) == (TaskStatus.SUCCESS, '{"answer": 42}', ())
        assert done.finished_at is not None
        assert done.finished_at >= claim.job.started_at
        assert done.worker_ids == [worker.id]
        assert (done.enqueued_at, done.started_at) == (job.enqueued_at, claim.job.started_at)

    def test_a_job_goes_through_retries_to_failure_and_knows_its_first_start(self, broker: Broker) -> None:
        worker = new_worker()
        broker.enqueue([new_job()])
        first = claimed(broker, worker)
        broker.settle([Retrying(claim=first, attempt=attempt_of(first), delay=SOON)])
        assert stored_job(broker, first).status is TaskStatus.RETRY
        assert stored_job(broker, first).finished_at is None

        (second,) = self.claim_when_due(broker, SOON, worker)
        assert second.token > first.token
        assert second.job.first_started_at == first.job.first_started_at
        assert second.job.started_at >= first.job.started_at + timedelta(seconds=SOON)

        broker.settle([Failed(claim=second, attempt=attempt_of(second))])
        job = stored_job(broker, first)
        assert (job.status, job.result, job.failures, job.losses) == (TaskStatus.FAILURE, None, 2, 0)
        assert job.finished_at is not None
        assert job.first_started_at == first.job.first_started_at

    def test_a_job_for_later_is_scheduled_and_runs_when_it_is_due(self, broker: Broker) -> None:
        worker = new_worker()
        soon, late = self.now() + timedelta(seconds=SOON), self.now() + timedelta(seconds=LONG)
        near, far = broker.enqueue([new_job(run_after=soon), new_job(run_after=late)])
        assert near.due_at == near.run_after == soon
        assert far.status is TaskStatus.SCHEDULED

        (claim,) = self.claim_when_due(broker, SOON, worker)

        assert claim.job.id == near.id
        assert claim.job.started_at >= soon
        assert broker.claim(None, 10, worker) == []
        assert stored_job(broker, far).status is TaskStatus.SCHEDULED

    def test_a_job_whose_time_has_passed_already_is_ready(self, broker: Broker) -> None:
        before = self.now() - timedelta(days=1)
        (job,) = broker.enqueue([new_job(run_after=before)])
        assert (job.status, job.due_at) == (TaskStatus.PENDING, before)
        assert claimed(broker).job.id == job.id

    def test_nothing_is_done_for_empty_sequences(self, broker: Broker) -> None:
        (job,) = enqueued(broker, new_job())
        assert broker.enqueue([]) == []
        assert broker.get([]) == {}
        assert broker.settle([]) == []
        assert broker.cancel([]) == broker.retry([]) == broker.delete([]) == []
        assert broker.claim([], 10, new_worker()) == []
        assert stored_job(broker, job) == job
