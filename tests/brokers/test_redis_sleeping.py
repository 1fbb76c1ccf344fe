"""Whoever sleeps in several shards hears of what lies in each of them, also in one that was away when the sleep began."""

from __future__ import annotations

from typing import Any

import pytest

from reinhardt_tasks.brokers.base import BOTH
from reinhardt_tasks.exceptions import QueueError
from tests.servers import RedisServer

from .promises.base import new_job
from .redis_makers import Make, make

__all__ = ["make"]

#: Seconds of a sleep that must not be slept to its end.
LONG = 10.0


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reinhardt_tasks.brokers.redis.shards.REST", 0.2)


def fill(broker: Any, shard: Any) -> None:
    """Have something ready in this shard, and nothing elsewhere."""
    job = next(job for job in iter(new_job, None) if broker.shard_of(job.id) is shard)
    broker.enqueue([job])


def test_what_lies_in_a_shard_that_rests_is_heard_of_when_it_is_back(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url, 2)
    _, resting = broker.shards
    fill(broker, resting)
    broker._rest(resting)
    assert broker.wait(None, LONG)


def test_what_comes_to_a_shard_that_could_not_be_listened_to_is_heard_of(
    redis_server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = make(redis_server.url, 2)
    other, shaky = broker.shards
    wait = shaky.wait

    def fail_once(*args: Any) -> bool:
        monkeypatch.setattr(shaky, "wait", wait)
        fill(broker, shaky)
        raise QueueError("Its node is being replaced.")

    monkeypatch.setattr(shaky, "wait", fail_once)
    assert broker.wait(None, LONG, BOTH)


def test_a_shard_that_cannot_be_listened_to_is_left_alone_for_a_while_each_time(
    redis_server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that rested once before: others would be roused, and it be asked, without an end."""
    broker = make(redis_server.url, 2)
    lost = broker.shards[1]
    broker._rest(lost)
    broker._resting[id(lost)] -= 100
    tries: list[int] = []

    def fail(*args: Any) -> bool:
        tries.append(1)
        raise QueueError("Its node is away.")

    monkeypatch.setattr(lost, "wait", fail)
    assert not broker.wait(None, 0.5)
    assert 1 <= len(tries) <= 4


def test_where_no_shard_can_be_listened_to_that_is_told(
    redis_server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = make(redis_server.url, 2)

    def fail(*args: Any) -> bool:
        raise QueueError("Its node is away.")

    for shard in broker.shards:
        monkeypatch.setattr(shard, "wait", fail)
    with pytest.raises(QueueError, match="away"):
        broker.wait(None, LONG)


def test_a_sleep_ends_with_its_time_though_a_shard_rests(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url, 2)
    broker._rest(broker.shards[0])
    assert not broker.wait(None, 0.05)
