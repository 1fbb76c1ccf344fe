"""The options of the Redis backend: where the server is, how long what has ended is kept, who is waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import run_checks

from reinhardt_tasks._compat import TaskResultDoesNotExist, task_backends
from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import new_id
from reinhardt_tasks.worker import Worker, WorkerConfig
from tests.servers import RedisServer, SentinelTrio, wait_until

from .chores import add, fail
from .redis_doors import DEADLINE, Door, door, keys_of, number_stored, redis_of, work_off

__all__ = ["door"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_finished_tasks_have_a_time_to_live(door: Door) -> None:
    backend = door(RESULT_TTL=1000)
    client = redis_of(backend).connections.sender
    done, failed, cancelled = add.enqueue(1), fail.enqueue(), add.using(queue_name="other").enqueue(1)
    work_off_queue(backend)
    assert cancelled.cancel()
    again = add.using(queue_name="other").enqueue(1)
    assert again.cancel()
    assert backend.broker.retry([again.id]) == [again.id]
    add.enqueue(1)
    add.using(run_after=timedelta(hours=1)).enqueue(1)
    assert str(backend.dequeue(["default"]))
    finished = {f"job:{each.id}" for each in (done, failed, cancelled)}
    # What people were answered is no task.
    kept = [key for key in keys_of(backend) if not key.startswith("answer:")]
    times = {key: client.pttl(redis_of(backend).base + key) for key in kept}
    assert {key for key, left in times.items() if left != -1} == finished
    assert all(times[key] > 990_000 for key in finished)


def work_off_queue(backend: RedisBackend) -> None:
    config = WorkerConfig(burst=True, queues=("default",))
    Worker(backend.broker, backend.settings, type(backend), config).run()


def test_finished_tasks_are_kept_for_ever_where_the_alias_says_so(door: Door) -> None:
    backend = door(RESULT_TTL=None)
    result = add.enqueue(1)
    work_off(backend)
    assert redis_of(backend).connections.sender.pttl(f"{redis_of(backend).base}job:{result.id}") == -1


def test_a_finished_task_is_gone_after_its_time(door: Door) -> None:
    backend = door(RESULT_TTL=0.05)
    result = add.enqueue(1)
    work_off(backend)
    worker = Worker(backend.broker, backend.settings, type(backend))
    wait_until(lambda: worker._maintenance.prune() and not backend.broker.get([result.id]), "its time is over")
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(result.id)
    assert not any(key.split(":")[0] in ("job", "all", "ended", "failures", "once") for key in keys_of(backend))


def test_every_key_begins_with_the_prefix_and_names_alias_and_shard(door: Door) -> None:
    with RedisServer(own=True) as server, server.client() as client:
        backend = door(URL=server.url, PREFIX="shop:", SHARDS=2)
        add.enqueue_many([((number,), {}) for number in range(20)])
        work_off(backend)
        keys = client.keys()
    assert keys
    assert {key.partition("}")[0] for key in keys} == {"shop:{default.0", "shop:{default.1"}


def test_two_prefixes_do_not_meet(door: Door) -> None:
    one = door(PREFIX="test:one:" + new_id())
    result = add.enqueue(1)
    two = door(PREFIX="test:two:" + new_id())
    assert two.dequeue() is None
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(result.id)
    assert str(one.dequeue()) == result.id


@pytest.fixture
def replica(door: Door) -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer(own=True) as master:
        follow = [f"replicaof {master.host} {master.port}"]
        with RedisServer(own=True, config=follow) as replica, replica.client() as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica follows")
            yield master, replica


def test_enqueue_returns_when_the_replicas_have_the_task(door: Door, replica: Any) -> None:
    master, follower = replica
    backend = door(URL=master.url, WAIT_REPLICAS=1)
    with follower.client() as client:
        for result in (add.enqueue(1), asyncio.run(add.aenqueue(2))):
            assert client.exists(f"{redis_of(backend).base}job:{result.id}")
        follower.pause()
        try:
            for way in (lambda: add.enqueue(1), lambda: asyncio.run(add.aenqueue(1))):
                with pytest.raises(QueueError, match=r"only 0 of 1 replicas.*lower OPTIONS\['WAIT_REPLICAS'\]"):
                    way()
        finally:
            follower.resume()


def test_without_replicas_to_wait_for_the_error_says_what_to_do(door: Door) -> None:
    backend = door(WAIT_REPLICAS=1)
    with pytest.raises(QueueError, match="runs if this server lives.*WAIT_REPLICAS"):
        add.enqueue(1)
    assert number_stored(backend) == 1


def test_the_server_of_a_django_redis_cache_is_taken_over(door: Door, settings: Any) -> None:
    with RedisServer(own=True, password="of-the-cache") as server, server.client() as client:
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "redis": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"redis://{server.host}:{server.port}/3",
                "OPTIONS": {
                    "PASSWORD": "of-the-cache",
                    "SOCKET_TIMEOUT": 1.0,
                    "SOCKET_CONNECT_TIMEOUT": 5.0,
                    "CONNECTION_POOL_KWARGS": {"max_connections": 1},
                },
            },
        }
        backend = door(CACHE="redis")
        result = add.enqueue(1)
        client.select(3)
        assert client.exists(f"{redis_of(backend).base}job:{result.id}")
        work_off(backend)
        # A worker that leaves wakes whoever sleeps, or else the next to lie down.
        backend.broker.wait(["one"], 0)
        # Longer than the cache's timeout, and more at once than its pool would give.
        heard: list[bool] = []
        sleepers = [
            threading.Thread(target=lambda queue=queue: heard.append(backend.broker.wait([queue], 2.0)))
            for queue in ("one", "two")
        ]
        for sleeper in sleepers:
            sleeper.start()
        for sleeper in sleepers:
            sleeper.join(DEADLINE)
        assert heard == [False, False]
        assert "of-the-cache" not in backend.broker.traits.place


def test_a_cache_by_sentinels_is_taken_over(door: Door, settings: Any) -> None:
    with SentinelTrio() as trio:
        settings.CACHES = {
            "redis": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"redis://{trio.service}/0",
                "OPTIONS": {
                    "CLIENT_CLASS": "django_redis.client.SentinelClient",
                    "SENTINELS": trio.addresses,
                },
            },
        }
        backend = door(CACHE="redis")
        result = add.enqueue(1)
        with trio.master().client() as client:
            assert client.exists(f"{redis_of(backend).base}job:{result.id}")


_BAD_OPTIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "two servers": ({"URL": "redis://h", "CACHE": "redis"}, "E020", "URL and CACHE"),
    "url and sentinels": ({"URL": "redis://h", "SENTINELS": [("h", 1)]}, "E020", "URL and SENTINELS"),
    "cluster and sentinels": ({"CLUSTER": True, "SENTINELS": [("h", 1)]}, "E020", "CLUSTER and SENTINELS"),
    "another scheme": ({"URL": "http://h"}, "E021", "redis://, rediss:// or unix://"),
    "no such cache": ({"CACHE": "rediss"}, "E022", "did you mean 'redis'"),
    "no cache of django-redis": ({"CACHE": "local"}, "E022", "no cache of django-redis"),
    "no place for results": ({"URL": "redis://h", "RESULT_BACKEND": "files"}, "E023", "no place for results"),
    "no such database": ({"URL": "redis://h", "DATABASE": "defalt"}, "E010", "did you mean 'default'"),
}


@pytest.mark.parametrize(("options", "code", "words"), _BAD_OPTIONS.values(), ids=_BAD_OPTIONS)
def test_contradictions_are_found_by_the_system_checks(
    options: dict[str, Any], code: str, words: str, settings: Any
) -> None:
    settings.CACHES = {
        "redis": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://h"},
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": options}}
    found = [each for each in run_checks() if each.id == f"reinhardt_tasks.{code}"]
    assert len(found) == 1
    assert words in found[0].msg + found[0].hint
    assert found[0].hint


@pytest.mark.parametrize(
    "options",
    [
        {"SENTINELS": "10.0.0.1:26379"},
        {"SENTINELS": ["10.0.0.1"]},
        {"CONNECTION": "redis://h"},
        {"SHARDS": 0},
        {"OUTBOX": 1},
        {"WAIT_REPLICAS": -1},
        {"PREFX": "a:"},
    ],
)
def test_a_bad_option_is_found_by_the_system_checks(options: dict[str, Any], settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "OPTIONS": options}}
    found = [each for each in run_checks() if (each.id or "").startswith("reinhardt_tasks.")]
    assert found
    assert next(iter(options)) in found[0].msg


def test_the_server_may_be_given_as_keyword_arguments(door: Door) -> None:
    with RedisServer(own=True, password="right") as server:
        door(CONNECTION={"host": server.host, "port": server.port, "db": 2, "password": "right"})
        result = add.enqueue(1)
        with server.client() as client:
            client.select(2)
            assert any(result.id in key for key in client.scan_iter())


def test_threads_share_one_broker_and_changed_settings_make_another(door: Door, settings: Any) -> None:
    backend = door()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(task_backends["default"]))
    thread.start()
    thread.join(DEADLINE)
    assert found[0] is not backend
    assert found[0].broker is backend.broker
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default"]}}
    assert task_backends["default"].broker is not backend.broker
