"""What a Redis is set up for is told where it does not suit a queue: by the check, and at a worker's start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import checks
from django.test import override_settings

from reinhardt_tasks.brokers.redis import Connections, RedisBroker, Target
from reinhardt_tasks.brokers.redis.advice import advice_on
from reinhardt_tasks.jobs import Succeeded, TaskStatus
from reinhardt_tasks.management.worker_banner import notes_on
from tests.servers import RedisServer, ServerMissing
from tests.test_docs import ROOT

from .promises.base import new_job, new_worker


def _broker(url: str) -> RedisBroker:
    return RedisBroker("default", Connections(Target(url=url)), "advice:{default.0}:")


@pytest.fixture
def careless(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that throws keys away, and writes nothing down."""
    request.getfixturevalue("redis_server")
    try:
        server = RedisServer(own=True, maxmemory="20mb", config=("maxmemory-policy allkeys-lru",))
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture
def careful(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    request.getfixturevalue("redis_server")
    with RedisServer(own=True, appendonly=True) as server:
        yield server


def test_a_server_that_evicts_and_writes_nothing_down_is_told_of(careless: RedisServer) -> None:
    found = _broker(careless.url).advice()
    assert [advice.code for advice in found] == ["W005", "W006"]
    assert "allkeys-lru" in found[0].message
    assert "noeviction" in found[0].hint


def test_a_server_that_suits_is_not(careful: RedisServer) -> None:
    assert _broker(careful.url).advice() == []


def test_an_old_version_and_a_replica_are_errors() -> None:
    info: dict[str, Any] = {"redis_version": "6.0.9", "role": "slave", "aof_enabled": 1}
    assert [advice.code for advice in advice_on(info, "Redis")] == ["E024", "E025"]


def test_valkey_counts_by_the_redis_version_that_it_stands_for() -> None:
    assert advice_on({"redis_version": "7.2.4", "valkey_version": "8.0.1", "aof_enabled": 1}, "Valkey") == []


def test_the_check_for_deployment_asks_the_server(careless: RedisServer) -> None:
    with override_settings(TASKS=_tasks(careless.url)):
        assert {"reinhardt_tasks.W005", "reinhardt_tasks.W006"} <= _ids()


def test_the_check_for_deployment_tells_of_a_server_that_is_away(careful: RedisServer) -> None:
    url = careful.url
    careful.stop()
    with override_settings(TASKS=_tasks(url)):
        assert "reinhardt_tasks.W007" in _ids()


def _tasks(url: str) -> dict[str, Any]:
    return {"default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": {"URL": url}}}


def _ids() -> set[str | None]:
    return {message.id for message in checks.run_checks(include_deployment_checks=True)}


RIGHTS = "+@read +@write +@connection +@scripting +time +wait +info"


def test_a_user_with_the_rights_that_the_manual_names_gets_work_done(careful: RedisServer) -> None:
    rights = (ROOT / "docs" / "redis.md").read_text("utf-8")
    assert f"~reinhardt:tasks:* {RIGHTS}" in rights
    broker = _user(careful, RIGHTS)
    (job,) = broker.enqueue([new_job()])
    worker = new_worker()
    (claim,) = broker.claim(None, 5, worker)
    assert broker.settle([Succeeded(claim=claim)]) == []
    assert broker.get([job.id])[job.id].status is TaskStatus.SUCCESS
    assert notes_on(broker) == []


def test_a_worker_starts_though_it_may_not_ask_how_its_store_is_set_up(careful: RedisServer) -> None:
    broker = _user(careful, RIGHTS.replace("+info", "-info"))
    (note,) = notes_on(broker)
    assert "could not be asked" in note and "Its user may not do this" in note


def _user(server: RedisServer, rights: str) -> RedisBroker:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "tasks", "reset", "on", ">secret", "~advice:*", *rights.split())
    return _broker(server.url.replace("redis://", "redis://tasks:secret@"))
