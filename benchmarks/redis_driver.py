"""What drivers of systems on Redis share: how many tasks are left is read from keys of known names."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from .driver import DjangoDriver, Driver


class RedisDriver(Driver):
    #: Every key in which a task lies until it has ended.
    keys: ClassVar[tuple[str, ...]]

    def left(self) -> int:
        pipeline = self._client.pipeline()
        for key in self.keys:
            pipeline.type(key)
        counts = {
            b"list": self._client.llen,
            b"set": self._client.scard,
            b"zset": self._client.zcard,
            b"hash": self._client.hlen,
            b"stream": self._client.xlen,
        }
        return sum(_count(counts.get(kind), key) for key, kind in zip(self.keys, pipeline.execute(), strict=True))

    @cached_property
    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(os.environ["BENCHMARK_REDIS_URL"])


class DjangoRedisDriver(RedisDriver, DjangoDriver):
    """A system with Django's task API, on Redis: there is no transaction that makes filling faster."""

    def fill(self, count: int) -> None:
        Driver.fill(self, count)


def _count(how: Callable[[str], Any] | None, key: str) -> int:
    return int(how(key)) if how else 0
