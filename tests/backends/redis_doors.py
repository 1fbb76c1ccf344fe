"""The alias `default` on a Redis, for the tests of that backend, and what processes of their own need to find it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.brokers.redis import Connections, Target
from reinhardt_tasks.jobs import new_id
from reinhardt_tasks.worker import Worker, WorkerConfig
from tests.databases import environment_for_processes

from . import chores

BACKEND = "reinhardt_tasks.backends.RedisBackend"
#: Seconds for a worker to run a handful of tasks.
DEADLINE = 60

#: `door(**options)` makes TASKS of these options, on the session's server unless they name one, and returns the backend.
Door = Callable[..., RedisBackend]


@pytest.fixture
def door(settings: Any, request: pytest.FixtureRequest) -> Iterator[Door]:
    chores.noted.clear()
    prefix = f"test:{new_id()}:"
    opened: list[RedisBackend] = []

    def make(*, queues: list[str] | None = None, **options: Any) -> RedisBackend:
        if not options.keys() & {"URL", "CACHE", "CONNECTION", "SENTINELS"}:
            options["URL"] = request.getfixturevalue("redis_server").url
        settings.TASKS = {
            "default": {"BACKEND": BACKEND, "QUEUES": queues or [], "OPTIONS": {"PREFIX": prefix, **options}}
        }
        backend: RedisBackend = task_backends["default"]
        opened.append(backend)
        return backend

    yield make
    for backend in opened:
        with suppress(Exception):
            redis_of(backend).connections.close()
            backend.broker.close()


def redis_of(backend: RedisBackend) -> Any:
    """Return the broker of a backend's first shard."""
    broker: Any = getattr(backend.broker, "broker", backend.broker)
    return getattr(broker, "shards", [broker])[0]


@contextmanager
def shard_away(backend: RedisBackend, number: int) -> Iterator[None]:
    """Lead the way to one of a backend's shards to where nobody listens."""
    broker: Any = getattr(backend.broker, "broker", backend.broker)
    shard = broker.shards[number]
    known = shard.connections
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    shard.connections = Connections(Target(url=f"redis://127.0.0.1:{port}/0"))
    try:
        yield
    finally:
        shard.connections = known


def keys_of(backend: RedisBackend) -> set[str]:
    """Return the keys of a backend's first shard, without its base."""
    broker = redis_of(backend)
    base = broker.base.replace("[", "\\[")
    return {key.removeprefix(broker.base) for key in broker.connections.sender.scan_iter(match=f"{base}*", count=1000)}


def number_stored(backend: RedisBackend) -> int:
    """Return how many tasks Redis has."""
    return sum(key.startswith("job:") for key in keys_of(backend))


def work_off(backend: RedisBackend) -> Worker:
    """Run all that is ready, and return the worker that did. Fail where it finds no end."""
    worker = Worker(backend.broker, backend.settings, type(backend), WorkerConfig(burst=True, concurrency=2))
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    if thread.is_alive():
        worker.stop()
        worker.stop()
        thread.join(DEADLINE)
        pytest.fail(f"The worker did not come to an end within {DEADLINE} s.")
    return worker


def environment_of(settings: Any) -> dict[str, str]:
    """Return the environment in which another process meets the same tasks and databases."""
    return {
        **environment_for_processes(),
        "DJANGO_SETTINGS_MODULE": "tests.worker.process_settings",
        "REINHARDT_TEST_TASKS": json.dumps(settings.TASKS),
    }
