"""django-vtasks on Redis: one asyncio worker with its defaults. It keeps no results, and deletes what has run."""

from __future__ import annotations

from benchmarks.redis_driver import DjangoRedisDriver


class DjangoVtasks(DjangoRedisDriver):
    worker = ("django", "runworker")
    # The few that run are in a list whose name is the worker's.
    keys = ("{vt}:q:default",)
    has_bulk = True

    def enqueue_bulk(self, count: int) -> None:
        self._nothing.get_backend().enqueue_many([(self._nothing, (), {})] * count)


if __name__ == "__main__":
    DjangoVtasks.serve()
