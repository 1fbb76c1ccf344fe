"""Huey's consumer with its defaults: one thread that blocks on the list."""

from __future__ import annotations

from typing import Any

from benchmarks.redis_driver import RedisDriver


class Huey(RedisDriver):
    worker = ("huey.bin.huey_consumer", "benchmarks.peers.huey.tasks.huey")
    # What runs is in no key: huey loses it with its consumer.
    keys = ("huey.redis.benchmarks",)

    def prepare(self) -> None:
        from . import tasks

        self._tasks: Any = tasks

    def enqueue_nothing(self) -> None:
        self._tasks.nothing()

    def enqueue_stamp(self, path: str, called_at: float) -> None:
        self._tasks.stamp(path, called_at)


if __name__ == "__main__":
    Huey.serve()
