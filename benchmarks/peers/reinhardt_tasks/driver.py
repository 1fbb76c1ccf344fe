"""Ourselves, from the tree, with every default."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.driver import DjangoDriver


class ReinhardtTasks(DjangoDriver):
    worker = ("django", "runworker")
    has_bulk = True

    def enqueue_bulk(self, count: int) -> None:
        self._nothing.get_backend().enqueue_many(self._nothing, [((), {})] * count)

    def fill(self, count: int) -> None:
        self.enqueue_bulk(count)

    def enqueue_calls(self, name: str, calls: list[list[Any]]) -> float:
        """Enqueue calls of a task of `benchmarks.worker`; return the moment at which that was done."""
        from benchmarks.worker import tasks

        getattr(tasks, name).enqueue_many([(args, {}) for args in calls])
        return time.time()

    def left(self) -> int:
        from django.conf import settings
        from django.db import connection

        if settings.TASKS["default"]["OPTIONS"]:
            # Counted up to a bound: where more is left, the drain is timed from where it falls below.
            counts = self._nothing.get_backend().broker.counts()
            return sum(number for queue in counts for number in queue.counts.values())
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM reinhardt_tasks_job WHERE finished_at IS NULL")
            number: int = cursor.fetchone()[0]
        return number


if __name__ == "__main__":
    ReinhardtTasks.serve()
