"""For tests: every operation succeeds and nothing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from django.utils import timezone

from .. import signals
from .._compat import CoreTask, TaskResultDoesNotExist
from ..brokers.base import Queues
from ..jobs import Job, TaskId, TaskStatus
from ..registry import task_of
from ..results import TaskResult, enqueued_result, result_of
from .base import ReinhardtBackend


class DummyBackend(ReinhardtBackend):
    """Keeps what was enqueued in `results`, as Django's own dummy does. `dequeue` finds nothing, every state is SUCCESS."""

    keeps_jobs = False

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[TaskResult[Any]] = []

    def send(self, task: CoreTask, jobs: Sequence[Job]) -> list[TaskResult[Any]]:
        results = []
        for job in jobs:
            result = enqueued_result(job, task)
            self._store(result)
            # What is kept must not change when the caller's copy does.
            results.append(deepcopy(result))
        return results

    def enqueue_jobs(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._store(result_of(job, task_of(job)))

    def get_result(self, result_id: str) -> TaskResult[Any]:
        for result in self.results:
            if result.id == str(result_id):
                return result
        raise TaskResultDoesNotExist(result_id)

    async def aget_result(self, result_id: str) -> TaskResult[Any]:
        return self.get_result(result_id)

    def cancel(self, ids: Sequence[str]) -> list[str]:
        known = {result.id for result in self.results}
        return [str(id_) for id_ in ids if str(id_) in known]

    def dequeue(self, queues: Queues = None) -> TaskId | None:
        return None

    def get_status(self, task_id: str | TaskId) -> TaskStatus:
        return TaskStatus.SUCCESS

    def update_status(self, task_id: str | TaskId, status: TaskStatus) -> None:
        return None

    def clear(self) -> None:
        """Forget what was enqueued."""
        self.results.clear()

    def _store(self, result: TaskResult[Any]) -> None:
        object.__setattr__(result, "enqueued_at", timezone.now())
        self.results.append(result)
        signals.task_enqueued.send(sender=type(self), task_result=result)
