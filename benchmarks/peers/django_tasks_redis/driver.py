"""django-tasks-redis: one process, one task at a time, results kept."""

from __future__ import annotations

from benchmarks.redis_driver import DjangoRedisDriver


class DjangoTasksRedis(DjangoRedisDriver):
    worker = ("django", "run_redis_tasks", "--continuous")
    # An entry is deleted when its task has ended.
    keys = ("django_tasks:default:default:stream:normal",)


if __name__ == "__main__":
    DjangoTasksRedis.serve()
