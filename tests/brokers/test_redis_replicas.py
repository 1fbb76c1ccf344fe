"""WAIT_REPLICAS: who enqueues hears that replicas have the task where they have it, and never otherwise."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Job
from tests.servers import RedisServer, wait_until

from .promises.base import ids_of, new_job
from .redis_makers import Make, make

__all__ = ["make"]


@pytest.fixture
def pair() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master and its replica."""
    with (
        RedisServer(own=True) as master,
        RedisServer(own=True, config=[f"replicaof {master.host} {master.port}"]) as replica,
    ):
        with master.client() as client:
            wait_until(lambda: client.wait(1, 100) == 1, "the replica follows")
        yield master, replica


@pytest.fixture(params=["sync", "async"])
def enqueue(request: pytest.FixtureRequest) -> Callable[[Any, Job], list[Job]]:
    if request.param == "sync":
        return lambda broker, job: broker.enqueue([job])
    return lambda broker, job: asyncio.run(broker.aenqueue([job]))


def test_a_task_that_a_replica_has_is_there(pair: Any, make: Make, enqueue: Any) -> None:
    broker, job = make(pair[0].url, replicas=1), new_job()
    assert ids_of(enqueue(broker, job)) == ids_of(enqueue(broker, job)) == [job.id]
    with pair[1].client() as client:
        assert client.exists(f"{broker.base}job:{job.id}")


# Later versions of redis-py have another word for it.
@pytest.mark.filterwarnings("ignore:Call to '__init__' function with deprecated usage.*lib_name:DeprecationWarning")
def test_a_connection_that_is_lost_while_it_waits_says_nothing_of_replicas(pair: Any, make: Make, enqueue: Any) -> None:
    """A new one has written nothing yet, of which every replica has all.

    Redis before 7.2 takes any command for a write here, also those by which a connection introduces itself: these do not.
    """
    master, replica = pair
    silent = {"lib_name": None, "lib_version": None, "protocol": 2}
    broker, job = make(master.url, replicas=1, replica_timeout=1.5, kwargs=silent), new_job()
    enqueue(broker, new_job())
    replica.pause()
    told: list[Any] = []

    def send() -> None:
        try:
            told.append(enqueue(broker, job))
        except QueueError as exc:
            told.append(exc)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with master.client() as client:
            waiting = wait_until(
                lambda: [each["id"] for each in client.client_list() if each["cmd"] == "wait"], "it waits"
            )
            client.client_kill_filter(_id=waiting[0])
        thread.join()
    finally:
        replica.resume()
    assert "only 0 of 1 replicas" in str(told[0])
    # Told again, it waits for what was written before.
    assert ids_of(enqueue(broker, job)) == [job.id]
    with replica.client() as client:
        assert client.exists(f"{broker.base}job:{job.id}")
