"""Results apart from any queue: in memory, in Redis, in each database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks import DatabaseResultBackend, MemoryResultBackend, RedisResultBackend
from reinhardt_tasks.jobs import new_id
from reinhardt_tasks.result_backends import ResultBackend

from .result_contract import ResultBackendContract


class TestMemoryResults(ResultBackendContract):
    @pytest.fixture
    def results(self) -> ResultBackend:
        return MemoryResultBackend()


class TestRedisResults(ResultBackendContract):
    @pytest.fixture
    def results(self, redis_server: Any) -> Iterator[ResultBackend]:
        results = RedisResultBackend(redis_server.url, prefix=f"test:{new_id()}:")
        yield results
        results.connections.close()


class TestDatabaseResults(ResultBackendContract):
    @pytest.fixture
    def results(self, database_alias: str) -> ResultBackend:
        return DatabaseResultBackend(database_alias)
