"""Brokers on Redis for tests that need their own servers, ways there, or settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reinhardt_tasks.brokers.redis import Connections, RedisBroker, ShardedBroker, Target
from reinhardt_tasks.jobs import new_id

#: `make(url, shards=1, **options)`: options are those of a RedisBroker and of a Target.
Make = Callable[..., Any]

_OF_TARGETS = ("sentinels", "service", "cluster", "kwargs")


@pytest.fixture
def make() -> Iterator[Make]:
    """Make brokers; those of one test share their keys, and nobody else has them."""
    prefix = f"test:{new_id()}:"
    opened: list[Connections] = []

    def make(url: str = "", shards: int = 1, alias: str = "default", **options: Any) -> Any:
        target = Target(url=url, **{name: options.pop(name) for name in _OF_TARGETS if name in options})
        connections = Connections(target)
        opened.append(connections)
        brokers = [
            RedisBroker(alias, connections, f"{prefix}{{{alias}.{number}}}:", **options) for number in range(shards)
        ]
        return brokers[0] if shards == 1 else ShardedBroker(brokers)

    yield make
    for connections in opened:
        connections.close()
