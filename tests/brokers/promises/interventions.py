"""What people do to jobs: cancel, retry, delete, change, prune, each in every state."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reinhardt_tasks.brokers.base import Broker, Changes, Query
from reinhardt_tasks.jobs import Cancelled, Failed, Released, Retrying, Succeeded, TaskStatus, new_id

from .base import LONG, Promises, attempt_of, claimed, ids_of, new_job, new_worker, running, stored_job

EVERY_STATE = pytest.mark.parametrize("status", list(TaskStatus), ids=lambda status: status.lower())


class Interventions(Promises):
    @EVERY_STATE
    def test_cancel(self, broker: Broker, status: TaskStatus) -> None:
        job = self.job_in(broker, status)
        answer = self.another_broker().cancel([job.id, new_id()])
        after = stored_job(broker, job)
        if status.is_finished:
            assert (answer, after) == ([], job)
        elif status is TaskStatus.RUNNING:
            assert (answer, after.status, after.cancel_requested) == ([job.id], TaskStatus.RUNNING, True)
            assert after.finished_at is None
        else:
            assert (answer, after.status) == ([job.id], TaskStatus.CANCELLED)
            assert after.finished_at is not None
            assert after.history == job.history
            assert broker.claim([job.queue], 10, new_worker()) == []

    @EVERY_STATE
    def test_retry(self, broker: Broker, status: TaskStatus) -> None:
        job = self.job_in(broker, status)
        answer = self.another_broker().retry([job.id, new_id()])
        if status in (TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.SUCCESS):
            assert (answer, stored_job(broker, job)) == ([], job)
            return
        after = stored_job(broker, job)
        assert (answer, after.status, after.finished_at) == ([job.id], TaskStatus.PENDING, None)
        assert (after.history, after.cancel_requested) == (job.history, False)
        claim = claimed(broker, queues=[job.queue])
        assert (claim.job.id, claim.job.history) == (job.id, job.history)
        assert claim.token > job.token
        assert broker.settle([Succeeded(claim=claim)]) == []
        assert stored_job(broker, job).status is TaskStatus.SUCCESS

    @EVERY_STATE
    def test_delete(self, broker: Broker, status: TaskStatus) -> None:
        job = self.job_in(broker, status)
        answer = self.another_broker().delete([job.id, new_id()])
        if status is TaskStatus.RUNNING:
            assert (answer, stored_job(broker, job)) == ([], job)
        else:
            assert answer == [job.id]
            assert broker.get([job.id]) == {}
            assert broker.find(Query()) == []
        assert broker.claim(None, 10, new_worker()) == []

    @EVERY_STATE
    def test_change(self, broker: Broker, status: TaskStatus) -> None:
        job = self.job_in(broker, status)
        past = self.now() - timedelta(hours=1)
        changes = Changes(priority=77, queue="changed", run_after=past)
        answer = self.another_broker().change([job.id, new_id()], changes)
        if not status.is_waiting:
            assert (answer, stored_job(broker, job)) == ([], job)
            return
        after = stored_job(broker, job)
        assert (answer, after.priority, after.queue, after.run_after) == ([job.id], 77, "changed", past)
        assert after.due_at == past
        assert broker.claim([job.queue], 10, new_worker()) == []
        assert claimed(broker, queues=["changed"]).job.id == job.id

    @pytest.mark.parametrize("status", [TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.RETRY])
    def test_a_waiting_job_can_be_put_off(self, broker: Broker, status: TaskStatus) -> None:
        job = self.job_in(broker, status)
        later = self.now() + timedelta(seconds=2 * LONG)
        assert broker.change([job.id], Changes(run_after=later)) == [job.id]
        after = stored_job(broker, job)
        assert (after.run_after, after.due_at, after.priority, after.queue) == (later, later, job.priority, job.queue)
        assert after.status in (TaskStatus.SCHEDULED, status)
        assert broker.claim(None, 10, new_worker()) == []

    def test_a_changed_priority_changes_the_order(self, broker: Broker) -> None:
        first, second, third = broker.enqueue([new_job() for _ in range(3)])
        broker.change([third.id], Changes(priority=1))
        broker.change([first.id], Changes(priority=-1))
        assert ids_of(broker.claim(None, 10, new_worker())) == ids_of([third, second, first])

    def test_a_job_that_waits_for_its_time_keeps_it_when_its_queue_changes(self, broker: Broker) -> None:
        job = self.job_in(broker, TaskStatus.SCHEDULED)
        broker.change([job.id], Changes(queue="elsewhere", priority=3))
        after = stored_job(broker, job)
        assert (after.status, after.due_at, after.queue) == (TaskStatus.SCHEDULED, job.due_at, "elsewhere")
        assert broker.claim(None, 10, new_worker()) == []

    def test_a_heartbeat_tells_what_was_cancelled(self, broker: Broker) -> None:
        worker = new_worker()
        stopped, left = running(broker, worker), running(broker, worker)
        assert self.another_broker().cancel([stopped.job.id]) == [stopped.job.id]
        pulse = broker.heartbeat(worker)
        assert pulse.cancelled == {stopped.job.id}
        assert pulse.held == {claim.job.id: claim.token for claim in (stopped, left)}
        assert broker.settle([Cancelled(claim=stopped, attempt=attempt_of(stopped, exception="TaskCancelled"))]) == []
        job = stored_job(broker, stopped)
        assert (job.status, job.history[0].exception) == (TaskStatus.CANCELLED, "TaskCancelled")
        assert broker.heartbeat(worker).cancelled == frozenset()

    def test_a_job_that_failed_while_it_was_cancelled_is_not_cancelled_when_it_is_retried(self, broker: Broker) -> None:
        worker = new_worker()
        claim = running(broker, worker)
        broker.cancel([claim.job.id])
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim))])
        assert broker.retry([claim.job.id]) == [claim.job.id]
        again = claimed(broker, worker)
        assert again.job.id == claim.job.id
        assert broker.heartbeat(worker).cancelled == frozenset()

    def test_a_cancelled_job_that_succeeds_all_the_same_ends_cancelled(self, broker: Broker) -> None:
        claim = running(broker)
        broker.cancel([claim.job.id])
        assert broker.settle([Succeeded(claim=claim, result='"done"')]) == []
        job = stored_job(broker, claim)
        assert (job.status, job.result) == (TaskStatus.CANCELLED, None)
        assert job.finished_at is not None

    @pytest.mark.parametrize("delay", [0.0, LONG])
    def test_a_cancelled_job_that_would_run_again_ends_cancelled(self, broker: Broker, delay: float) -> None:
        worker = new_worker()
        failed, released = running(broker, worker), running(broker, worker)
        broker.cancel(ids_of([failed, released]))
        broker.settle(
            [Retrying(claim=failed, attempt=attempt_of(failed), delay=delay), Released(claim=released, delay=delay)]
        )
        assert {stored_job(broker, claim).status for claim in (failed, released)} == {TaskStatus.CANCELLED}
        assert stored_job(broker, failed).failures == 1
        assert broker.claim(None, 10, worker) == []

    def test_many_jobs_are_edited_at_once(self, broker: Broker) -> None:
        ids = ids_of(broker.enqueue([new_job() for _ in range(2_500)]))
        assert sorted(broker.change(ids, Changes(priority=5))) == ids
        assert sorted(broker.cancel(ids)) == ids
        assert sorted(broker.retry(ids)) == ids
        assert len(broker.get(ids)) == len(ids)
        assert sorted(broker.delete(ids)) == ids
        assert broker.get(ids) == {}

    def test_prune_deletes_what_finished_before_a_moment_and_nothing_else(self, broker: Broker) -> None:
        old = [self.job_in(broker, status) for status in TaskStatus if status.is_finished]
        moment = self.after(max(job.finished_at for job in old))
        young = self.job_in(broker, TaskStatus.SUCCESS)
        unfinished = [self.job_in(broker, status) for status in TaskStatus if not status.is_finished]

        assert broker.prune(moment, 2) == 2
        assert len(broker.get(ids_of(old))) == 1
        assert broker.prune(moment, 100) == 1
        assert broker.prune(moment, 100) == 0
        assert sorted(broker.get(ids_of([*old, young, *unfinished]))) == sorted(ids_of([young, *unfinished]))

    def test_a_job_that_is_retried_is_not_pruned(self, broker: Broker) -> None:
        job = self.job_in(broker, TaskStatus.FAILURE)
        broker.retry([job.id])
        assert broker.prune(self.after(job.finished_at), 100) == 0
