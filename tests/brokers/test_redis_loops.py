"""Event loops come and go, one for each request under WSGI: what they had open on Redis goes with them."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from tests.servers import RedisServer, wait_until

from .promises.base import new_job
from .redis_makers import Make, make

__all__ = ["make"]

LOOPS = 5


@contextmanager
def no_complaints() -> Iterator[None]:
    """Fail for what an object complains of when nobody can catch it any more."""
    complaints: list[Any] = []
    former, sys.unraisablehook = sys.unraisablehook, complaints.append
    try:
        yield
        gc.collect()
    finally:
        sys.unraisablehook = former
    assert not complaints, [str(each.exc_value) for each in complaints]


@pytest.mark.parametrize("in_a_loop", [lambda work: asyncio.run(work()), lambda work: async_to_sync(work)()])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_loop_that_ends_leaves_no_connection(
    redis_server: RedisServer, make: Make, in_a_loop: Callable[[Any], Any], shards: int
) -> None:
    broker = make(redis_server.url, shards, kwargs={"client_name": (name := f"loops-{new_job().id}")})

    async def work() -> None:
        jobs = [new_job() for _ in range(9)]
        await broker.aenqueue(jobs)
        assert len(await broker.aget([job.id for job in jobs])) == 9

    def connected() -> int:
        return sum(each["name"] == name for each in client.client_list())

    gc.collect()
    with redis_server.client() as client, no_complaints():
        for _ in range(LOOPS):
            in_a_loop(work)
        wait_until(lambda: connected() == 0, "the connections of the loops are closed")


def test_a_loop_keeps_one_client(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url, kwargs={"client_name": (name := f"loop-{new_job().id}")})

    async def work() -> int:
        for _ in range(LOOPS):
            await broker.aenqueue([new_job()])
        with redis_server.client() as client:
            return sum(each["name"] == name for each in client.client_list())

    assert asyncio.run(work()) == 1
