"""Results that leave Redis for the database, and results in Redis apart from any queue."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks.brokers.redis import RedisResultBackend
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.result_backends import TaskResultMetadata
from tests.servers import RedisServer

from . import chores
from .chores import add, fail, report
from .redis_doors import Door, door, keys_of, redis_of, work_off

__all__ = ["door"]

pytestmark = pytest.mark.django_db(transaction=True)


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
