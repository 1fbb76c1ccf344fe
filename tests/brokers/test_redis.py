"""The Redis broker keeps the contract: standalone, in shards, by Sentinels, on a Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.brokers.redis import Connections, RedisBroker, ShardedBroker, Target
from reinhardt_tasks.jobs import new_id

from .contract import BrokerContract


class _RedisContract(BrokerContract):
    """Each test has keys of its own on a server that all share."""

    shards = 1

    def target(self) -> Target:
        raise NotImplementedError

    @pytest.fixture
    def broker(self, redis_target: Target) -> Iterator[Broker]:
        self.connections = Connections(redis_target)
        self.prefix = f"test:{new_id()}:"
        self.opened: list[Any] = []
        yield self.another_broker()
        for broker in self.opened:
            broker.connections.close()

    def another_broker(self, alias: str = "default") -> Broker:
        connections = Connections(self.connections.target)
        shards = [
            RedisBroker(alias, connections, f"{self.prefix}{{{alias}.{number}}}:") for number in range(self.shards)
        ]
        self.opened += shards
        return shards[0] if self.shards == 1 else ShardedBroker(shards)


class TestStandalone(_RedisContract):
    @pytest.fixture
    def redis_target(self, redis_server: Any) -> Target:
        return Target(url=redis_server.url)


class TestFourShards(_RedisContract):
    shards = 4

    @pytest.fixture
    def redis_target(self, redis_server: Any) -> Target:
        return Target(url=redis_server.url)


class TestSentinel(_RedisContract):
    @pytest.fixture
    def redis_target(self, sentinel_trio: Any) -> Target:
        return Target(sentinels=tuple(sentinel_trio.addresses), service=sentinel_trio.service)


class TestCluster(_RedisContract):
    shards = 4

    @pytest.fixture
    def redis_target(self, redis_cluster: Any) -> Target:
        return Target(url=redis_cluster.url, cluster=True)
