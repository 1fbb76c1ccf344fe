"""threadmill with one process of one thread, its default."""

from __future__ import annotations

from benchmarks.redis_driver import DjangoRedisDriver


class Threadmill(DjangoRedisDriver):
    worker = ("django", "threadmill", "worker", "--workers", "1")
    keys = ("threadmill:{default}:queue:default", "threadmill:{default}:running:default")


if __name__ == "__main__":
    Threadmill.serve()
