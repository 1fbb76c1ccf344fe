"""Stores for the tests of what people do: a database and a Redis, each as the alias `default`, and tasks on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Attempt, Claim, Failed, Released, Retrying, Succeeded, TaskStatus, new_id
from reinhardt_tasks.log_lines import AttemptLog, LogLine, encode_log
from reinhardt_tasks.operations import Store
from tests import databases

QUEUES = ["default", "emails", "reports"]


@pytest.fixture(params=["database", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The alias `default`, empty: on SQLite, then on Redis in two shards."""
    yield request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def database_store(sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[Store]:
    with django_db_blocker.unblock():
        databases.emptied(sqlite_database)
        settings.TASKS = {
            "default": {
                "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
                "QUEUES": QUEUES,
                "OPTIONS": {"DATABASE": sqlite_database},
            }
        }
        yield operations.store_of("default")
        task_backends["default"].broker.close()


@pytest.fixture
def redis_store(redis_server: Any, django_db_blocker: Any, settings: Any) -> Iterator[Store]:
    options = {"URL": redis_server.url, "PREFIX": f"test:{new_id()}:", "SHARDS": 2}
    settings.TASKS = {
        "default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "QUEUES": QUEUES, "OPTIONS": options}
    }
    store = operations.store_of("default")
    # The schedules lie in a database all the same.
    with django_db_blocker.unblock():
        yield store
    broker: Any = store.broker
    broker.shards[0].connections.close()


def worker(name: str = "worker") -> WorkerInfo:
    return WorkerInfo(id=f"{name}-{new_id()}", name=name, host="host", pid=17, slots=4, lease=600)


def claim(store: Store, queue: str = "default", by: WorkerInfo | None = None) -> Claim:
    (found,) = store.broker.claim([queue], 1, by or worker())
    return found


def succeed(store: Store, queue: str = "default", result: str = "null") -> str:
    """Run the next task of a queue to its success, and return its id."""
    one = claim(store, queue)
    assert store.broker.settle([Succeeded(claim=one, result=result)]) == []
    return one.job.id


def fail(store: Store, queue: str = "default", **values: Any) -> str:
    """Run the next task of a queue to its failure, and return its id."""
    one = claim(store, queue)
    assert store.broker.settle([Failed(claim=one, attempt=attempt(one, **values))]) == []
    return one.job.id


def logged(one: Claim, *messages: str, level: str = "INFO", dropped: int = 0) -> str:
    """Return what an attempt has logged, as its worker hands it in with the outcome."""
    number, at = len(one.job.history) + 1, one.job.started_at or one.job.enqueued_at
    assert at is not None
    lines = tuple(LogLine(at, level, "shop.orders", message, number) for message in messages)
    return encode_log(AttemptLog(number, lines, dropped))


def put_off(store: Store, queue: str = "default") -> str:
    """Let the next task of a queue wait for another attempt, in an hour."""
    one = claim(store, queue)
    assert store.broker.settle([Retrying(claim=one, attempt=attempt(one), delay=3600)]) == []
    return one.job.id


def put_back(store: Store, queue: str = "default") -> str:
    """Let a worker give back the next task of a queue, to try again in ten seconds."""
    one = claim(store, queue)
    assert store.broker.settle([Released(claim=one, delay=10.0)]) == []
    return one.job.id


def attempt(
    one: Claim, exception: str = "builtins.ValueError", traceback: str = "Traceback\nValueError: no"
) -> Attempt:
    return Attempt(
        worker=one.worker,
        started_at=one.job.started_at,
        finished_at=one.job.started_at,
        exception=exception,
        traceback=traceback,
    )


def goes_away(patch: pytest.MonkeyPatch, store: Store, method: str, after: int) -> None:
    """Let a store answer a method of its broker so many times, and be away from then on."""
    answers, asked = getattr(store.broker, method), []

    def answer(*args: Any, **values: Any) -> Any:
        asked.append(args)
        if len(asked) > after:
            raise QueueError("Nobody answers.")
        return answers(*args, **values)

    patch.setattr(store.broker, method, answer)


def status_of(store: Store, id_: str) -> TaskStatus:
    return store.broker.get([id_])[id_].status
