"""The caller's transaction on Redis: what is enqueued in it is sent when it commits. For the outbox see test_redis_outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from reinhardt_tasks import signals
from reinhardt_tasks._compat import TaskResultDoesNotExist
from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import TaskStatus
from tests.servers import RedisServer

from .chores import add
from .redis_doors import Door, door, number_stored, work_off

__all__ = ["door"]

pytestmark = pytest.mark.django_db(transaction=True)


class _Stop(Exception):
    pass


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


def test_a_receiver_that_fails_keeps_nothing_that_follows_a_commit(door: Door) -> None:
    backend = door()
    followed: list[str] = []

    class Nameless:
        def __call__(self, **facts: Any) -> None:
            raise ValueError("the receiver")

    receiver = Nameless()
    signals.task_enqueued.connect(receiver)
    try:
        with transaction.atomic():
            add.enqueue(1)
            transaction.on_commit(lambda: followed.append("hook"))
        asyncio.run(add.aenqueue(1))
    finally:
        signals.task_enqueued.disconnect(receiver)
    assert (followed, number_stored(backend)) == (["hook"], 2)


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
