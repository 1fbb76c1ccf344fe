"""Groups of Redis servers, which only the tests of the Redis broker need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers import RedisCluster, SentinelTrio, ServerMissing


def _started(kind: Callable[[], Any]) -> Iterator[Any]:
    try:
        group = kind()
    except ServerMissing as missing:
        if os.environ.get("CI") or os.environ.get("REINHARDT_REQUIRE_SERVERS") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    with group:
        yield group


@pytest.fixture(scope="session")
def sentinel_trio() -> Iterator[SentinelTrio]:
    yield from _started(SentinelTrio)


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    yield from _started(RedisCluster)
