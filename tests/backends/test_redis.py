"""The Redis backend: what is enqueued there is stored, run and found; by coroutines too."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from reinhardt_tasks._compat import TaskResultDoesNotExist, TaskResultMismatch
from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.exceptions import SerializationFailed
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.worker import Worker, WorkerConfig
from tests.servers import RedisServer
from tests.worker.running import job_for

from .chores import aadd, add, fail, note
from .original_words import OriginalWords
from .redis_doors import DEADLINE, Door, door, keys_of, number_stored, work_off

__all__ = ["door"]

pytestmark = pytest.mark.django_db(transaction=True)


class TestOriginalWords(OriginalWords):
    @pytest.fixture
    def backend(self, door: Door) -> RedisBackend:
        return door()


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
