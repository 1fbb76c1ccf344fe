"""What the tests of faults of Redis have on stage: tasks that are counted, a server to be killed, a way that loses answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Job
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from tests.servers import RedisServer, wait_until
from tests.worker.running import AT_ONCE, job_for

from .promises.base import ids_of
from .proxy import Proxy

OPTIONS = BackendOptions(backoff=AT_ONCE, lease=30)
#: A worker with this lease beats twice a second, idle or not.
QUICK = BackendOptions(backoff=AT_ONCE, lease=1.5)
#: Seconds for a worker to come back after its store has.
DEADLINE = 90

ran: Counter[int] = Counter()
go = threading.Event()


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    ran.clear()
    go.clear()
    yield
    go.set()


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server that may be killed; what it has answered survives that."""
    with RedisServer(own=True, appendonly=True) as server:
        yield server


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis_server.host, redis_server.port) as proxy:
        yield proxy


@task
def count(number: int) -> int:
    ran[number] += 1
    return number


@task
def count_and_wait(number: int) -> int:
    ran[number] += 1
    assert go.wait(120)
    return number


def counting(number: int, of: Any = count) -> list[Job]:
    return [job_for(of, each) for each in range(number)]


def all_ended(broker: Any, jobs: list[Job]) -> list[Job]:
    """Return the jobs when all of them have finished, through whatever the store does meanwhile."""

    def found() -> list[Job] | None:
        with suppress(QueueError):
            stored = broker.get(ids_of(jobs))
            if len(stored) == len(jobs) and all(job.status.is_finished for job in stored.values()):
                return [stored[job.id] for job in jobs]
        return None

    return wait_until(found, f"{len(jobs)} tasks finish", timeout=DEADLINE)


def accepted(broker: Any, jobs: list[Job]) -> None:
    """Enqueue jobs as soon as the store takes them."""

    def done() -> bool:
        with suppress(QueueError):
            return bool(broker.enqueue(jobs))
        return False

    wait_until(done, "the store takes jobs", timeout=DEADLINE)
