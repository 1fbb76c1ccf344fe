"""Celery with its default pool (prefork) of one process, late acknowledgement and results in Redis."""

from __future__ import annotations

from typing import Any

from benchmarks.redis_driver import RedisDriver


class Celery(RedisDriver):
    worker = ("celery", "-A", "benchmarks.peers.celery.tasks", "worker", "--concurrency", "1")
    keys = ("celery", "unacked")

    def prepare(self) -> None:
        from . import tasks

        self._tasks: Any = tasks

    def enqueue_nothing(self) -> None:
        self._tasks.nothing.delay()

    def enqueue_stamp(self, path: str, called_at: float) -> None:
        self._tasks.stamp.delay(path, called_at)


if __name__ == "__main__":
    Celery.serve()
