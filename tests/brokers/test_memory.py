"""The reference broker keeps the contract, on a clock of the tests' own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import new_id

from .contract import BrokerContract
from .promises.base import new_job


class Clock:
    """A clock that goes on by a microsecond with each look, and otherwise when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2030, 3, 31, 1, 59, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time


class TestMemoryBroker(BrokerContract):
    walks_everything = True

    @pytest.fixture
    def broker(self) -> Broker:
        self.clock = Clock()
        self.memory = MemoryBroker(now=self.clock)
        return self.memory

    def another_broker(self, alias: str = "default") -> Broker:
        # There is no other process to share this one's memory, and each backend has its own.
        return self.memory if alias == "default" else MemoryBroker(now=self.clock)

    def now(self) -> datetime:
        return self.clock()

    def move_time(self, seconds: float) -> None:
        self.clock.time += timedelta(seconds=seconds)

    def test_it_has_no_transactions(self, broker: Broker) -> None:
        assert not broker.traits.is_transactional
        with pytest.raises(NotImplementedError, match="MemoryBroker"):
            broker.transaction()


def test_the_clock_is_the_real_one_by_default() -> None:
    before = datetime.now(UTC)
    (job,) = MemoryBroker().enqueue([new_job(id=new_id())])
    assert before <= job.enqueued_at <= datetime.now(UTC)
