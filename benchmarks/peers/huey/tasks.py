"""RedisHuey; it keeps results of None only when told to."""

from __future__ import annotations

import os

from huey import RedisHuey

from benchmarks.delays import write_delay

huey = RedisHuey("benchmarks", url=os.environ["BENCHMARK_REDIS_URL"], store_none=True)


@huey.task()
def nothing() -> None:
    pass


@huey.task()
def stamp(path: str, called_at: float) -> None:
    write_delay(path, called_at)
