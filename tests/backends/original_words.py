"""The original's words, `dequeue`, `get_status` and `update_status`, as every backend that stores keeps them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks.backends.base import ReinhardtBackend
from reinhardt_tasks.brokers.base import WorkerRecord
from reinhardt_tasks.exceptions import BackendError, QueueError, TaskNotFound
from reinhardt_tasks.jobs import TaskId, TaskPriority, TaskStatus
from reinhardt_tasks.tracebacks import exception_line

from .chores import add

#: An id that no task has.
UNKNOWN = "01890000-0000-7000-8000-000000000000"


class OriginalWords:
    """Inherited by a backend's tests, which say how to get the fixture `backend`: the alias `default`, with nothing in it."""

    def test_dequeue_gives_the_id_of_the_task_that_is_next(self, backend: ReinhardtBackend) -> None:
        result = add.enqueue(1)
        dequeued = backend.dequeue()
        assert isinstance(dequeued, TaskId)
        assert str(dequeued) == result.id
        assert backend.get_status(dequeued) is TaskStatus.RUNNING

    def test_dequeue_finds_nothing_where_nothing_is_due(self, backend: ReinhardtBackend) -> None:
        assert backend.dequeue() is None
        add.using(run_after=timedelta(hours=1)).enqueue(1)
        assert backend.dequeue() is None

    def test_a_task_is_given_out_once(self, backend: ReinhardtBackend) -> None:
        results = [add.enqueue(number) for number in range(3)]
        dequeued = [str(backend.dequeue()) for _ in results]
        assert sorted(dequeued) == sorted(result.id for result in results)
        assert backend.dequeue() is None

    def test_the_highest_priority_comes_first_and_then_the_oldest(self, backend: ReinhardtBackend) -> None:
        priorities = [TaskPriority(2), TaskPriority(5), TaskPriority(9), TaskPriority(5), TaskPriority(2)]
        ids = [add.using(priority=priority).enqueue(1).id for priority in priorities]
        assert [str(backend.dequeue()) for _ in ids] == [ids[number] for number in (2, 1, 3, 0, 4)]

    def test_dequeue_serves_the_queues_that_it_is_told(self, backend: ReinhardtBackend) -> None:
        add.using(queue_name="other").enqueue(1)
        wanted = add.using(queue_name="emails").enqueue(1)
        assert backend.dequeue(["letters"]) is None
        assert str(backend.dequeue(["letters", "emails"])) == wanted.id
        assert backend.dequeue(["letters", "emails"]) is None

    def test_get_status_tells_the_state(self, backend: ReinhardtBackend) -> None:
        waiting, later = add.enqueue(1), add.using(run_after=timedelta(hours=1)).enqueue(1)
        assert backend.get_status(waiting.id) is TaskStatus.PENDING
        assert backend.get_status(TaskId(later.id)) is TaskStatus.SCHEDULED

    @pytest.mark.parametrize("unknown", [UNKNOWN, "no id"])
    def test_a_task_that_is_not_there_is_an_error_that_names_it(self, backend: ReinhardtBackend, unknown: str) -> None:
        with pytest.raises(TaskNotFound, match=unknown):
            backend.get_status(unknown)
        with pytest.raises(TaskNotFound, match=unknown):
            backend.update_status(unknown, TaskStatus.SUCCESS)

    @pytest.mark.parametrize("status", [TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.CANCELLED])
    def test_whoever_dequeued_says_how_it_ended(self, backend: ReinhardtBackend, status: TaskStatus) -> None:
        result = self._dequeued(backend)
        backend.update_status(result.id, status)
        assert backend.get_status(result.id) is status
        assert backend.dequeue() is None
        result.refresh()
        assert result.state is status
        assert result.is_finished
        assert len(result.errors) == (status is not TaskStatus.SUCCESS)

    def test_a_failure_that_a_caller_tells_is_an_attempt_like_any_other(self, backend: ReinhardtBackend) -> None:
        result = self._dequeued(backend)
        backend.update_status(result.id, TaskStatus.FAILURE)
        (attempt,) = backend.broker.get([result.id])[result.id].history
        assert attempt.finished_at is not None
        told = exception_line(attempt.traceback)
        assert told == f"{attempt.exception}: The caller of dequeue() set the state FAILURE."

    def test_a_state_may_be_given_as_its_name(self, backend: ReinhardtBackend) -> None:
        result = self._dequeued(backend)
        backend.update_status(result.id, "SUCCESS")  # type: ignore[arg-type]
        assert backend.get_status(result.id) is TaskStatus.SUCCESS
        with pytest.raises(ValueError, match="SUCCEEDED"):
            backend.update_status(result.id, "SUCCEEDED")  # type: ignore[arg-type]

    def test_a_retry_is_an_attempt_that_failed_and_another_that_follows(self, backend: ReinhardtBackend) -> None:
        result = self._dequeued(backend)
        backend.update_status(result.id, TaskStatus.RETRY)
        assert backend.get_status(result.id).is_waiting
        assert str(backend.dequeue()) == result.id
        result.refresh()
        assert (len(result.errors), result.attempts) == (1, 2)

    def test_a_task_may_be_given_back_as_if_it_had_not_been_taken(self, backend: ReinhardtBackend) -> None:
        result = self._dequeued(backend)
        backend.update_status(result.id, TaskStatus.PENDING)
        assert backend.get_status(result.id) is TaskStatus.PENDING
        assert str(backend.dequeue()) == result.id
        result.refresh()
        assert (len(result.errors), result.attempts) == (0, 1)

    def test_to_say_what_is_so_already_changes_nothing(self, backend: ReinhardtBackend) -> None:
        result = self._dequeued(backend)
        backend.update_status(result.id, TaskStatus.RUNNING)
        backend.update_status(result.id, TaskStatus.SUCCESS)
        backend.update_status(result.id, TaskStatus.SUCCESS)
        assert backend.get_status(result.id) is TaskStatus.SUCCESS

    def test_an_end_that_the_store_did_not_take_can_be_told_again(
        self, backend: ReinhardtBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = self._dequeued(backend)

        def away(outcomes: Any) -> Any:
            raise QueueError("the store is away for a moment")

        with monkeypatch.context() as patched:
            patched.setattr(backend.broker, "settle", away)
            with pytest.raises(QueueError, match="for a moment"):
                backend.update_status(result.id, TaskStatus.SUCCESS)
        backend.update_status(result.id, TaskStatus.SUCCESS)
        assert backend.get_status(result.id) is TaskStatus.SUCCESS

    def test_a_claim_that_its_caller_forgets_is_renewed_by_nobody(self, backend: ReinhardtBackend) -> None:
        forgotten = self._dequeued(backend)
        holder = self._worker_of(backend, forgotten.id)
        for _ in range(2):
            ended = self._dequeued(backend)
            assert self._worker_of(backend, ended.id).info.id != holder.info.id
            backend.update_status(ended.id, TaskStatus.SUCCESS)
        assert backend.dequeue() is None
        assert self._worker_of(backend, forgotten.id) == holder

    def test_a_worker_for_each_claim_is_used_again_with_its_whole_lease(self, backend: ReinhardtBackend) -> None:
        first = self._dequeued(backend)
        before = self._worker_of(backend, first.id)
        backend.update_status(first.id, TaskStatus.SUCCESS)
        assert backend.dequeue() is None
        after = self._worker_of(backend, self._dequeued(backend).id)
        assert after.info.id == before.info.id
        assert after.beat_at > before.beat_at

    def test_only_a_task_that_was_dequeued_here_can_end(self, backend: ReinhardtBackend) -> None:
        result = add.enqueue(1)
        with pytest.raises(BackendError, match=f"{result.id}.*PENDING.*dequeue it first"):
            backend.update_status(result.id, TaskStatus.SUCCESS)
        assert backend.get_status(result.id) is TaskStatus.PENDING

    def test_what_has_ended_cannot_end_otherwise(self, backend: ReinhardtBackend) -> None:
        result = self._dequeued(backend)
        backend.update_status(result.id, TaskStatus.FAILURE)
        with pytest.raises(BackendError, match="FAILURE"):
            backend.update_status(result.id, TaskStatus.SUCCESS)
        assert backend.get_status(result.id) is TaskStatus.FAILURE

    def test_a_waiting_task_can_be_cancelled_by_anybody(self, backend: ReinhardtBackend) -> None:
        result = add.enqueue(1)
        backend.update_status(result.id, TaskStatus.CANCELLED)
        assert backend.get_status(result.id) is TaskStatus.CANCELLED
        assert backend.dequeue() is None

    def _worker_of(self, backend: ReinhardtBackend, id_: str) -> WorkerRecord:
        worker = backend.broker.get([id_])[id_].worker
        return next(record for record in backend.broker.workers() if record.info.id == worker)

    def _dequeued(self, backend: ReinhardtBackend) -> Any:
        result = add.enqueue(1)
        assert str(backend.dequeue()) == result.id
        return result
