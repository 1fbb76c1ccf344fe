"""The Redis backend: what it does beyond storing tasks. For its outbox see test_redis_outbox."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.checks import run_checks
from django.db import transaction

from reinhardt_tasks import signals
from reinhardt_tasks._compat import TaskResultDoesNotExist, TaskResultMismatch, task_backends
from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.brokers.redis import RedisResultBackend
from reinhardt_tasks.exceptions import QueueError, SerializationFailed
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.results import TaskResultMetadata
from reinhardt_tasks.worker import Worker, WorkerConfig
from tests.servers import RedisServer, SentinelTrio, wait_until
from tests.worker.running import job_for

from . import chores
from .chores import aadd, add, fail, note, report
from .original_words import OriginalWords
from .redis_doors import DEADLINE, Door, door, keys_of, number_stored, redis_of, work_off

__all__ = ["door"]

pytestmark = pytest.mark.django_db(transaction=True)


class _Stop(Exception):
    pass


class TestOriginalWords(OriginalWords):
    @pytest.fixture
    def backend(self, door: Door) -> RedisBackend:
        return door()


# Enqueueing


@pytest.mark.parametrize("shards", [1, 3])
def test_tasks_are_stored_run_and_found(door: Door, shards: int) -> None:
    backend = door(SHARDS=shards)
    results = [add.enqueue(1), *add.enqueue_many([((2,), {}), ((3,), {"b": 4})]), fail.enqueue()]
    assert [add.get_result(each.id) for each in results[:3]] == results[:3]
    work_off(backend)
    assert [add.get_result(each.id).return_value for each in results[:3]] == [2, 3, 7]
    assert fail.get_result(results[3].id).errors[0].exception_class is ValueError


def test_the_async_twins_do_the_same(door: Door) -> None:
    backend = door()

    async def all_of_them() -> list[str]:
        first = await aadd.aenqueue(1, b=2)
        assert await aadd.aget_result(first.id) == first
        second, third = await aadd.aenqueue_many([((1,), {}), ((2,), {})])
        assert await third.acancel()
        with pytest.raises(TaskResultDoesNotExist):
            await aadd.aget_result(new_id())
        with pytest.raises(TaskResultMismatch):
            await add.aget_result(first.id)
        with pytest.raises(SerializationFailed):
            await note.aenqueue({1})
        return [first.id, second.id, third.id]

    ids = asyncio.run(all_of_them())
    work_off(backend)
    states = [backend.get_status(id_) for id_ in ids]
    assert states == [TaskStatus.SUCCESS, TaskStatus.SUCCESS, TaskStatus.CANCELLED]
    assert number_stored(backend) == 3


def test_what_is_refused_leaves_nothing(door: Door) -> None:
    backend = door()
    for calls in ([((1,), {}), (({1},), {})], [((1,), {}), ((), {})]):
        with pytest.raises((SerializationFailed, TypeError)):
            add.enqueue_many(calls)
        with pytest.raises((SerializationFailed, TypeError)):
            asyncio.run(add.aenqueue_many(calls))
    assert add.enqueue_many([]) == []
    assert keys_of(backend) == set()


def test_enqueueing_is_one_round_trip(door: Door) -> None:
    with RedisServer(own=True) as server, server.client() as client:
        door(URL=server.url)
        # The first loads the script, and opens the connection.
        add.enqueue(1)
        client.config_resetstat()
        add.enqueue(1)
        assert _calls(client) == {"evalsha": 1}
        add.enqueue_many(((number,), {}) for number in range(100))
        assert _calls(client) == {"evalsha": 2}


def _calls(client: Any) -> dict[str, int]:
    """Return the commands that were sent, without those that look, and those that scripts call."""
    stats = client.info("commandstats")
    sent = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}
    return {name: sent[name] for name in ("evalsha", "eval", "hello", "auth", "multi", "get", "set") if name in sent}


def test_draining_costs_much_less_than_a_command_a_task(door: Door) -> None:
    with RedisServer(own=True) as server, server.client() as client:
        backend = door(URL=server.url)
        add.enqueue_many(((number,), {}) for number in range(1000))
        client.config_resetstat()
        worker = Worker(backend.broker, backend.settings, type(backend), WorkerConfig(burst=True))
        worker.run()
        calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    assert worker.succeeded == 1000
    sent = sum(calls.get(f"cmdstat_{name}", 0) for name in ("evalsha", "eval", "blpop"))
    assert 0 < sent < 300


# The caller's transaction


def _many(*args: Any) -> Any:
    return add.enqueue_many([(args, {})])[0]


async def _amany(*args: Any) -> Any:
    return (await add.aenqueue_many([(args, {})]))[0]


@pytest.fixture(params=["enqueue", "enqueue_many", "aenqueue", "aenqueue_many"])
def send(request: pytest.FixtureRequest) -> Callable[..., Any]:
    ways: dict[str, Any] = {
        "enqueue": add.enqueue,
        "enqueue_many": _many,
        "aenqueue": async_to_sync(add.aenqueue),
        "aenqueue_many": async_to_sync(_amany),
    }
    return ways[request.param]  # type: ignore[no-any-return]


def test_a_task_is_sent_when_the_transaction_commits(door: Door, send: Any) -> None:
    backend = door()
    with transaction.atomic():
        with transaction.atomic():
            result = send(1)
        assert number_stored(backend) == 0
        assert (result.state, result.args) == (TaskStatus.PENDING, [1])
    assert add.get_result(result.id).id == result.id
    work_off(backend)
    result.refresh()
    assert result.return_value == 2


def test_a_rollback_sends_nothing(door: Door, send: Any) -> None:
    backend = door()
    with pytest.raises(_Stop), transaction.atomic():
        result = send(1)
        raise _Stop
    with transaction.atomic():
        with pytest.raises(_Stop), transaction.atomic():
            send(2)
            raise _Stop
        kept = send(3)
    assert number_stored(backend) == 1
    assert add.get_result(kept.id).args == [3]
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(result.id)


def test_a_task_is_sent_at_once_where_the_alias_says_so(door: Door, send: Any) -> None:
    backend = door(ENQUEUE_ON_COMMIT=False)
    with pytest.raises(_Stop), transaction.atomic():
        result = send(1)
        assert number_stored(backend) == 1
        raise _Stop
    assert add.get_result(result.id).args == [1]


def test_an_async_view_under_sync_middleware_sends_at_commit(door: Door) -> None:
    """ATOMIC_REQUESTS in a thread of its own, with the coroutine back on the event loop that started the thread."""
    backend = door()

    def view() -> None:
        with transaction.atomic():
            async_to_sync(add.aenqueue)(1)
            assert number_stored(backend) == 0

    async def server() -> None:
        await sync_to_async(view, thread_sensitive=True)()

    async_to_sync(server)()
    assert number_stored(backend) == 1


def test_the_signal_comes_when_the_task_is_sent(door: Door) -> None:
    door()
    told: list[str] = []

    def note_it(sender: Any, task_result: Any, **kwargs: Any) -> None:
        assert sender is RedisBackend
        told.append(task_result.id)

    signals.task_enqueued.connect(note_it)
    try:
        with transaction.atomic():
            result = add.enqueue(1)
            assert told == []
        assert told == [result.id]
        other = asyncio.run(add.aenqueue(1))
        assert told == [result.id, other.id]
    finally:
        signals.task_enqueued.disconnect(note_it)


def test_a_commit_whose_tasks_cannot_be_sent_says_so_and_names_the_way_out(door: Door, send: Any) -> None:
    with RedisServer(own=True) as server:
        door(URL=server.url)
        with pytest.raises(QueueError, match=r"committed, but its 1 tasks.*OPTIONS\['OUTBOX'\]"), transaction.atomic():
            send(1)
            server.kill()


def test_to_wait_in_the_tasks_own_transaction_is_refused(door: Door) -> None:
    door()
    with transaction.atomic():
        result = add.enqueue(1)
        with pytest.raises(RuntimeError, match="never end.*Wait after the transaction"):
            result.wait()
        with pytest.raises(RuntimeError, match="never end"):
            async_to_sync(result.await_)()
    with pytest.raises(TimeoutError, match="PENDING"):
        result.wait(timeout=timedelta(milliseconds=20))


# Event loops


class _NoThreads(asyncio.SelectorEventLoop):
    def run_in_executor(self, *args: Any) -> Any:
        raise AssertionError("This coroutine went to a thread.")


def test_coroutines_enqueue_and_look_without_a_thread(door: Door) -> None:
    backend = door(SHARDS=2)

    async def work() -> str:
        stored = await backend._place.aenqueue([job_for(aadd, 1), job_for(aadd, 2)])
        found = await aadd.aget_result(stored[0].id)
        with pytest.raises(TaskResultDoesNotExist):
            await aadd.aget_result(new_id())
        return str(found.id)

    with asyncio.Runner(loop_factory=_NoThreads) as runner:
        id_ = runner.run(work())
    assert aadd.get_result(id_).args == [1]


def test_each_event_loop_has_connections_of_its_own(door: Door) -> None:
    backend = door()

    async def send_many() -> list[str]:
        return [result.id for result in await asyncio.gather(*(aadd.aenqueue(number) for number in range(20)))]

    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(asyncio.run(send_many()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    found += asyncio.run(send_many()) + asyncio.run(send_many())
    assert len(set(found)) == number_stored(backend) == 100


# Options


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
    times = {key: client.pttl(redis_of(backend).base + key) for key in keys_of(backend)}
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
    wait_until(lambda: worker._maintenance.prune(), "its time is over")
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
                    "SOCKET_TIMEOUT": 0.2,
                    "SOCKET_CONNECT_TIMEOUT": 0.2,
                    "CONNECTION_POOL_KWARGS": {"max_connections": 1},
                },
            },
        }
        backend = door(CACHE="redis")
        result = add.enqueue(1)
        client.select(3)
        assert client.exists(f"{redis_of(backend).base}job:{result.id}")
        work_off(backend)
        # Longer than the cache's timeout, and more at once than its pool would give.
        heard: list[bool] = []
        sleepers = [
            threading.Thread(target=lambda queue=queue: heard.append(backend.broker.wait([queue], 1.0)))
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


# Signed arguments


def _tampered(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "a", client.hget(f"{base}job:{victim}", "a").replace("[[1]", "[[666]"))


def _moved(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "a", client.hget(f"{base}job:{other}", "a"))


def _renamed(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "n", add.module_path)


def _unsigned(client: Any, base: str, victim: str, other: str) -> None:
    client.hset(f"{base}job:{victim}", "a", "[[1],{}]")


def _cut(client: Any, base: str, victim: str, other: str) -> None:
    client.hdel(f"{base}job:{victim}", "n")
    client.hset(f"{base}job:{victim}", mapping={"n": note.module_path, "a": ""})


@pytest.mark.parametrize("tamper", [_tampered, _moved, _renamed, _unsigned, _cut])
def test_what_nobody_with_a_key_has_written_never_runs(tamper: Any, door: Door) -> None:
    backend = door(SIGN=True, MAX_ATTEMPTS=3)
    victim, other = note.enqueue(1), note.enqueue(2)
    base, client = redis_of(backend).base, redis_of(backend).connections.sender
    if tamper is _cut:
        client.hset(f"{base}job:{victim.id}", "a", " ")
    tamper(client, base, victim.id, other.id)
    work_off(backend)
    assert chores.noted == [2]
    found = backend.get_result(victim.id)
    assert (backend.get_status(victim.id), found.attempts) == (TaskStatus.FAILURE, 1)
    assert "not signed with a key of this project" in found.errors[0].traceback


def test_signed_tasks_run_and_what_an_older_key_has_signed_too(door: Door, settings: Any) -> None:
    settings.SECRET_KEY = "the old one"
    backend = door(SIGN=True)
    old = note.enqueue("old")
    assert note.get_result(old.id).args == ["old"]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", ["the old one"]
    new = note.enqueue("new")
    asyncio.run(note.aenqueue("by a coroutine"))
    work_off(backend)
    assert sorted(chores.noted) == ["by a coroutine", "new", "old"]
    settings.SECRET_KEY_FALLBACKS = []
    assert note.get_result(new.id).args == ["new"]


# Finished tasks in the database


def test_finished_tasks_are_found_after_they_left_redis(door: Door) -> None:
    backend = door(RESULT_BACKEND="database", RESULT_TTL=timedelta(days=9))
    good, bad, gone = add.enqueue(1), fail.enqueue("for good"), add.enqueue(5)
    assert gone.cancel()
    chores.may_end.set()
    reported = report.using(metadata={"team": "a"}).enqueue(5)
    work_off(backend)
    expected = {each.id: backend.get_result(each.id) for each in (good, bad, gone, reported)}
    client = redis_of(backend).connections.sender
    assert 0 < client.pttl(f"{redis_of(backend).base}job:{good.id}") <= 2 * 3600 * 1000
    for key in keys_of(backend):
        client.delete(redis_of(backend).base + key)

    async def look() -> Any:
        return await add.aget_result(good.id)

    for id_, before in expected.items():
        after = backend.get_result(id_)
        assert (after.status, after.state, after.args, after.attempts) == (
            before.status,
            before.state,
            before.args,
            before.attempts,
        )
        assert [each.exception_class_path for each in after.errors] == [
            each.exception_class_path for each in before.errors
        ]
        assert after.worker_ids == before.worker_ids
        assert (after.metadata, after.progress) == (before.metadata, before.progress)
    assert add.get_result(good.id).return_value == asyncio.run(look()).return_value == 2
    assert backend.get_result(reported.id).metadata == {"team": "a", "step": "last"}


def test_a_task_cancelled_while_it_ran_is_so_in_the_database_too(door: Door) -> None:
    backend = door(RESULT_BACKEND="database")
    result = add.enqueue(1)
    assert str(backend.dequeue()) == result.id
    assert result.cancel()
    backend.update_status(result.id, TaskStatus.SUCCESS)
    here = backend.get_status(result.id)
    client = redis_of(backend).connections.sender
    client.delete(f"{redis_of(backend).base}job:{result.id}")
    assert backend.get_status(result.id) is here is TaskStatus.CANCELLED


def test_a_task_that_is_settled_twice_is_one_row(door: Door) -> None:
    from reinhardt_tasks.models import JobRow

    backend = door(RESULT_BACKEND="database")
    result = add.enqueue(1)
    backend.dequeue()
    backend.update_status(result.id, TaskStatus.FAILURE)
    assert backend.broker.retry([result.id]) == [result.id]
    work_off(backend)
    assert JobRow.objects.get().status == "SUCCESS"
    assert [each.id for each in backend.broker.find(_everything())] == [result.id]


def _everything() -> Any:
    from reinhardt_tasks.brokers.base import Query

    return Query()


# Results apart from any queue


def test_results_can_be_kept_in_redis_alone(redis_server: RedisServer) -> None:
    prefix = f"test:{new_id()}:"
    results = RedisResultBackend(redis_server.url, prefix=prefix, ttl=100)
    one = TaskResultMetadata(task_id=new_id(), status=TaskStatus.SUCCESS, result={"a": [1]})
    results.store_result(one)
    assert results.get_result(one.task_id) == one
    assert 90 < results.connections.sender.ttl(prefix + str(one.task_id)) <= 100
    results.delete_result(one.task_id)
    assert results.get_result(one.task_id) is None
    results.delete_result(one.task_id)
    RedisResultBackend(redis_server.url, prefix=prefix, ttl=None).store_result(one)
    assert results.connections.sender.ttl(prefix + str(one.task_id)) == -1
    results.connections.close()
