"""A Redis whose finished jobs go to the database too keeps the contract like any other broker."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from reinhardt_tasks.brokers.archiving import ArchivingBroker
from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.brokers.database.archive import archive
from reinhardt_tasks.brokers.redis import Connections, RedisBroker, Target
from reinhardt_tasks.jobs import new_id
from tests.databases import emptied

from .contract import BrokerContract


class TestArchivingRedis(BrokerContract):
    @pytest.fixture
    def broker(self, redis_server: Any, sqlite_database: str, django_db_blocker: Any) -> Iterator[Broker]:
        self.database = sqlite_database
        self.target = Target(url=redis_server.url)
        self.prefix = f"test:{new_id()}:"
        self.opened: list[Any] = []
        with django_db_blocker.unblock():
            emptied(sqlite_database)
            yield self.another_broker()
        for connections in self.opened:
            connections.close()

    def another_broker(self, alias: str = "default") -> Broker:
        self.opened.append(connections := Connections(self.target))
        return ArchivingBroker(
            RedisBroker(alias, connections, f"{self.prefix}{{{alias}.0}}:"),
            DatabaseBroker(alias, self.database),
            partial(archive, database=self.database),
            3600.0,
        )

    def test_counts_are_bounded(self, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is the inner broker that counts."""
        super().test_counts_are_bounded(broker.broker, monkeypatch)
