"""dramatiq with one process of its default number of threads, and results in Redis."""

from __future__ import annotations

from typing import Any

from benchmarks.redis_driver import RedisDriver


class Dramatiq(RedisDriver):
    worker = ("dramatiq", "benchmarks.peers.dramatiq.tasks", "--processes", "1")
    # Messages lie here until they are acknowledged.
    keys = ("dramatiq:default.msgs",)

    def prepare(self) -> None:
        from . import tasks

        self._tasks: Any = tasks

    def enqueue_nothing(self) -> None:
        self._tasks.nothing.send()

    def enqueue_stamp(self, path: str, called_at: float) -> None:
        self._tasks.stamp.send(path, called_at)


if __name__ == "__main__":
    Dramatiq.serve()
