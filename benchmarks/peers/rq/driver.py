"""RQ with its SimpleWorker, which does not fork for each task: the fastest of its workers."""

from __future__ import annotations

import os

from benchmarks.redis_driver import RedisDriver


class Rq(RedisDriver):
    worker = ("rq.cli", "worker", "--worker-class", "rq.SimpleWorker", "--url", os.environ["BENCHMARK_REDIS_URL"])
    keys = ("rq:queue:default", "rq:wip:default")
    has_bulk = True

    def prepare(self) -> None:
        from rq import Queue

        from . import tasks

        self._queue = Queue(connection=self._client)
        self._tasks = tasks

    def enqueue_nothing(self) -> None:
        self._queue.enqueue(self._tasks.nothing)

    def enqueue_stamp(self, path: str, called_at: float) -> None:
        self._queue.enqueue(self._tasks.stamp, path, called_at)

    def enqueue_bulk(self, count: int) -> None:
        self._queue.enqueue_many([self._queue.prepare_data(self._tasks.nothing) for _ in range(count)])


if __name__ == "__main__":
    Rq.serve()
