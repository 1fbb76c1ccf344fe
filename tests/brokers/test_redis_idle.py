"""What those who have nothing to do ask of Redis, commands within scripts included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.servers import RedisServer

from .promises.base import new_job, new_worker
from .redis_makers import Make, make
from .redis_stage import own_server

__all__ = ["make", "own_server"]


def _commands(server: RedisServer, work: Callable[[], Any]) -> dict[str, int]:
    with server.client() as client:
        client.config_resetstat()
        work()
        stats = client.info("commandstats")
    counts = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}
    return {name: number for name, number in counts.items() if not name.startswith(("config", "hello", "client"))}


def test_a_look_before_a_sleep_is_a_handful_of_commands(own_server: RedisServer, make: Make) -> None:
    broker = make(own_server.url)
    broker.wait(["default"], 0)
    asked = _commands(own_server, lambda: broker.wait(["default"], 0))
    assert asked == {"evalsha": 1, "time": 1, "sismember": 1, "zcard": 1, "zrange": 2, "del": 1}


def test_a_look_clears_all_bells_of_what_is_looked_for(own_server: RedisServer, make: Make) -> None:
    broker = make(own_server.url)
    for is_async in (False, True):
        broker.enqueue([new_job(queue=queue, is_async=is_async) for queue in ("one", "two")])
    broker.claim(None, 9, new_worker())
    with own_server.client() as client:
        assert len(client.keys(f"{broker.base}bell:*")) == len(client.keys(f"{broker.base}chime:*")) == 3
        broker.wait(["one", "two"], 0, (True,))
        assert client.keys(f"{broker.base}chime:*") == [f"{broker.base}chime:*"]
        broker.wait(["one", "two"], 0)
        assert client.keys(f"{broker.base}bell:*") == [f"{broker.base}bell:*"]
        broker.wait(None, 0)
        assert client.keys(f"{broker.base}bell:*") == client.keys(f"{broker.base}chime:*") == []


def test_a_heartbeat_notes_the_workers_start_once(own_server: RedisServer, make: Make) -> None:
    broker, worker = make(own_server.url), new_worker()
    broker.heartbeat(worker)
    (first,) = broker.workers()
    asked = _commands(own_server, lambda: broker.heartbeat(worker))
    (second,) = broker.workers()
    assert "hsetnx" not in asked
    assert sum(asked.values()) <= 7
    assert second.started_at == first.started_at
    assert second.beat_at > first.beat_at
