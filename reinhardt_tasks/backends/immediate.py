"""Runs a task at once, in the caller, and gives the finished result."""

from __future__ import annotations

import os
import socket
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.db import transaction

from .. import carriers, signals
from .._compat import CoreTask
from ..brokers.base import Queues
from ..brokers.database.session import open_blocks
from ..calls import Call
from ..ended_jobs import ended_by, noted
from ..exceptions import TaskNotFound
from ..execution import Execution
from ..jobs import Claim, Job, Outcome, Progress, Retrying, TaskId, TaskStatus, as_enqueued
from ..options import BackendOptions, a_flag, a_number, option
from ..receivers import announce
from ..registry import task_of
from ..results import TaskResult, enqueued_result
from .base import ReinhardtBackend
from .transactions import open_database

#: Finished tasks that are remembered for `get_status`; the oldest go first.
_REMEMBERED = 1000


@dataclass(frozen=True, kw_only=True)
class ImmediateOptions(BackendOptions):
    """Like everybody's, but a task that does not say how often it is tried is tried once, as with Django's own."""

    max_attempts: int | None = option(1, a_number(1, none=True))
    #: Run when the caller's transaction commits. The result is finished then, and no sooner.
    enqueue_on_commit: bool = option(False, a_flag)


class ImmediateBackend(ReinhardtBackend):
    """For development and tests. Retries happen at once, without their delay; arguments go through JSON as elsewhere."""

    keeps_jobs = False
    supports_defer = False
    supports_get_result = False
    options_class: ClassVar[type[BackendOptions]] = ImmediateOptions
    settings: ImmediateOptions

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self.worker_id = f"immediate@{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"[:150]
        self._finished: OrderedDict[str, TaskStatus] = OrderedDict()
        #: Made jobs that wait for the one that runs here: what that sends must not run inside of it.
        self._line: deque[Job] = deque()
        self._is_running_line = False

    def enqueue(self, task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[Any]:
        """Run the task and return its finished result.

        With OPTIONS['ENQUEUE_ON_COMMIT'] it runs when the caller's transaction commits: the result is finished then. A
        rollback runs nothing.
        """
        with carriers.enqueueing(task, 1):
            (job,) = self.jobs_of(task, [(args, kwargs)])
            if (database := self._open_database()) is not None:
                return self._at_commit(task, job, database)
            job = self._enqueued(task, job)
        return self._ran(task, job)

    async def aenqueue(self, task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[Any]:
        return await sync_to_async(self.enqueue, thread_sensitive=True)(task, args, kwargs)

    def enqueue_many(self, task: CoreTask, calls: Sequence[Call]) -> list[TaskResult[Any]]:
        # All are checked before the first runs.
        self.jobs_of(task, calls)
        return [self.enqueue(task, args, kwargs) for args, kwargs in calls]

    def send(self, task: CoreTask, jobs: Sequence[Job]) -> list[TaskResult[Any]]:
        """Run jobs that were made before, and wait for no other; see enqueue()."""
        if (database := self._open_database()) is not None:
            return [self._at_commit(task, job, database) for job in jobs]
        return [self._ran(task, self._enqueued(task, job)) for job in jobs]

    def enqueue_jobs(self, jobs: Sequence[Job]) -> None:
        """Run jobs that were made before; those that come while one of them runs, after it."""
        self._line.extend(jobs)
        if self._is_running_line:
            return
        self._is_running_line = True
        try:
            while self._line:
                job = as_enqueued(self._line.popleft(), datetime.now(UTC))
                self._announce_jobs([job])
                self._remember(self._run(job, task_of(job)))
        finally:
            self._is_running_line = False
            self._line.clear()

    def get_result(self, result_id: str) -> TaskResult[Any]:
        raise NotImplementedError("This backend does not support retrieving or refreshing results.")

    async def aget_result(self, result_id: str) -> TaskResult[Any]:
        return self.get_result(result_id)

    def cancel(self, ids: Sequence[str]) -> list[str]:
        return []

    def why_waiting_is_hopeless(self) -> str | None:
        if self._open_database() is not None:
            return "it runs when the transaction that is open here commits. Wait after the transaction."
        return None

    def dequeue(self, queues: Queues = None) -> TaskId | None:
        return None

    def get_status(self, task_id: str | TaskId) -> TaskStatus:
        return self._finished[str(task_id)] if str(task_id) in self._finished else self._get(task_id).status

    def update_status(self, task_id: str | TaskId, status: TaskStatus) -> None:
        self.get_status(task_id)
        self._finished[str(task_id)] = TaskStatus(status)

    def _open_database(self) -> str | None:
        # A TestCase never commits what it holds around a test.
        return open_database(open_blocks) if self.settings.enqueue_on_commit else None

    def _at_commit(self, task: CoreTask, job: Job, database: str) -> TaskResult[Any]:
        result = enqueued_result(as_enqueued(job, datetime.now(UTC)), task)

        def run() -> None:
            begun = as_enqueued(job, datetime.now(UTC))
            # What raises here would keep what else waits for this commit.
            announce(type(self), enqueued_result(begun, task))
            # The caller has this result, and no other can be asked for.
            result._take(self._ran(task, begun))

        transaction.on_commit(run, using=database)
        return result

    def _enqueued(self, task: CoreTask, job: Job) -> Job:
        job = as_enqueued(job, datetime.now(UTC))
        signals.task_enqueued.send(sender=type(self), task_result=enqueued_result(job, task))
        return job

    def _ran(self, task: CoreTask, job: Job) -> TaskResult[Any]:
        job = self._run(job, task)
        self._remember(job)
        return enqueued_result(job, task)

    def _remember(self, job: Job) -> None:
        self._finished[job.id] = job.status
        if len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)

    def _get(self, task_id: str | TaskId) -> Job:
        raise TaskNotFound(f"No task {task_id} was run here (the last {_REMEMBERED} of this thread are known).")

    def _run(self, job: Job, task: CoreTask) -> Job:
        while not job.status.is_finished:
            started = datetime.now(UTC)
            job = replace(
                job,
                status=TaskStatus.RUNNING,
                token=job.token + 1,
                worker=self.worker_id,
                started_at=started,
                first_started_at=job.first_started_at or started,
            )
            notes: dict[str, Any] = {}

            def annotate(
                _: Claim, metadata: dict[str, Any], progress: Progress | None, notes: dict[str, Any] = notes
            ) -> None:
                notes.update(metadata=dict(metadata), progress=progress)

            claim = Claim(job=job, token=job.token, worker=self.worker_id)
            # Whoever presses Ctrl-C wants the caller to stop, not one task to fail.
            execution = Execution(claim, self.settings, type(self), annotate, propagate=(KeyboardInterrupt,))
            execution.use(task)
            outcome = execution.run()
            job = _settled(replace(job, **notes), outcome)
        return job


def _settled(job: Job, outcome: Outcome) -> Job:
    now = datetime.now(UTC)
    if (ended := ended_by(job, outcome, now)) is not None:
        return ended
    assert isinstance(outcome, Retrying), f"An immediate task cannot be put back: {outcome!r}"
    return replace(noted(job, outcome, now), status=TaskStatus.RETRY)
