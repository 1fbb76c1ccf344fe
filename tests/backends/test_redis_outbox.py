"""The outbox: a task is a row of the caller's transaction first, and reaches Redis whoever dies on the way."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.brokers.database import outbox as outbox_module
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.models import OutboxRow
from reinhardt_tasks.worker import Worker, WorkerConfig
from tests.servers import RedisServer, wait_until
from tests.worker.running import job_for

from .chores import add
from .redis_doors import DEADLINE, Door, door, environment_of, number_stored, work_off

__all__ = ["door"]

#: Enqueues in a transaction, and is killed when that has committed, before anything is sent.
VICTIM = """
import os, signal, sys
import django
django.setup()
from django.db import transaction
from tests.backends.chores import add
with transaction.atomic(using=sys.argv[1]):
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL), using=sys.argv[1])
    for number in range(3):
        print(add.enqueue(number).id, flush=True)
"""


@pytest.fixture
def backend(door: Door, database_alias: str) -> RedisBackend:
    return door(OUTBOX=True, DATABASE=database_alias)


@pytest.fixture
def on_sqlite(sqlite_database: str, django_db_blocker: Any) -> Any:
    from tests.databases import emptied

    with django_db_blocker.unblock():
        emptied(sqlite_database)
        yield sqlite_database


def rows(database: str) -> set[str]:
    return {str(pk) for pk in OutboxRow.objects.using(database).values_list("pk", flat=True)}


class _Stop(Exception):
    pass


def test_a_task_is_a_row_until_the_transaction_commits(backend: RedisBackend, database_alias: str) -> None:
    with transaction.atomic(using=database_alias):
        results = [add.enqueue(1), *add.enqueue_many([((2,), {}), ((3,), {})]), async_to_sync(add.aenqueue)(4)]
        assert rows(database_alias) == {result.id for result in results}
        assert number_stored(backend) == 0
    assert rows(database_alias) == set()
    assert number_stored(backend) == 4
    work_off(backend)
    assert [add.get_result(result.id).return_value for result in results] == [2, 3, 4, 5]


def test_a_rollback_leaves_nothing(backend: RedisBackend, database_alias: str) -> None:
    with pytest.raises(_Stop), transaction.atomic(using=database_alias):
        add.enqueue(1)
        async_to_sync(add.aenqueue)(1)
        raise _Stop
    assert rows(database_alias) == set()
    assert number_stored(backend) == 0


def test_without_a_transaction_it_is_sent_at_once(backend: RedisBackend, database_alias: str) -> None:
    result = add.using(priority=7, queue_name="emails", metadata={"a": 1}).enqueue(1, b=2)
    assert rows(database_alias) == set()
    found = add.get_result(result.id)
    assert (found.args, found.kwargs, found.metadata) == ([1], {"b": 2}, {"a": 1})
    assert (found.task.priority, found.task.queue_name) == (7, "emails")


def test_a_coroutine_of_its_own_is_sent_at_once(on_sqlite: str, door: Door) -> None:
    backend = door(OUTBOX=True, DATABASE=on_sqlite)

    async def send() -> str:
        result = await add.aenqueue(1)
        return str(result.id)

    id_ = asyncio.run(send())
    assert number_stored(backend) == 1
    assert add.get_result(id_).args == [1]
    assert rows(on_sqlite) == set()


def test_a_redis_that_is_down_at_commit_is_no_error(
    door: Door, database_alias: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(own=True) as server:
        backend = door(URL=server.url, OUTBOX=True, DATABASE=database_alias)
        server.kill()
        with transaction.atomic(using=database_alias):
            results = [add.enqueue(number) for number in range(3)]
        ids = {result.id for result in results}
        assert rows(database_alias) == ids
        assert "stay in the outbox until a worker sends them" in caplog.text
        assert {result.state for result in results} == {TaskStatus.PENDING}
        worker = Worker(backend.broker, backend.settings, type(backend), WorkerConfig())
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            wait_until(lambda: "did not answer" in caplog.text, "the worker meets the outage", timeout=DEADLINE)
            server.start()
            wait_until(lambda: not rows(database_alias), "a worker sends what was left", timeout=DEADLINE)
            for result in results:
                result.wait(timeout=DEADLINE)
        finally:
            worker.stop()
            thread.join(DEADLINE)
        assert [result.return_value for result in results] == [1, 2, 3]


def test_what_lies_there_and_is_sent_again_is_there_once(door: Door, database_alias: str) -> None:
    """A step of a workflow is sent again where it has not arrived."""
    with RedisServer(own=True) as server:
        backend = door(URL=server.url, OUTBOX=True, DATABASE=database_alias)
        server.kill()
        (job,) = jobs = [job_for(add, 1)]
        for _ in range(2):
            backend.enqueue_jobs(jobs)
        assert rows(database_alias) == {job.id}
        server.start()
        backend.enqueue_jobs(jobs)
        assert rows(database_alias) == set()
        assert number_stored(backend) == 1


def test_a_sender_killed_after_the_commit_has_its_tasks_sent_by_a_worker(
    on_sqlite: str, door: Door, settings: Any
) -> None:
    backend = door(OUTBOX=True, DATABASE=on_sqlite)
    victim = subprocess.run(
        [sys.executable, "-c", VICTIM, on_sqlite],
        cwd=Path(__file__).parents[2],
        env=environment_of(settings),
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    ids = victim.stdout.split()
    assert victim.returncode == -signal.SIGKILL
    assert rows(on_sqlite) == set(ids)
    assert number_stored(backend) == 0
    backend.broker.tidy()
    assert rows(on_sqlite) == set()
    work_off(backend)
    assert [add.get_result(id_).return_value for id_ in ids] == [1, 2, 3]


def test_relays_that_compete_send_each_task_once(backend: RedisBackend, database_alias: str) -> None:
    """Rows that one sends are left by the others; where a database has no such locks, Redis knows an id again."""
    outbox = backend._place.outbox
    jobs = [job_for(add, number) for number in range(500)]
    with transaction.atomic(using=database_alias):
        outbox.send(jobs)
        connections[database_alias].run_on_commit.clear()
    assert len(rows(database_alias)) == 500
    start, sent = threading.Barrier(3), []

    def relay() -> None:
        start.wait()
        sent.append(outbox.relay())
        connections[database_alias].close()

    threads = [threading.Thread(target=relay) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    outbox.relay()
    assert rows(database_alias) == set()
    assert len(sent) == 3
    claims = []
    while id_ := backend.dequeue():
        claims.append(str(id_))
    assert sorted(claims) == sorted(job.id for job in jobs)


def test_however_much_lies_there_it_is_sent_for_a_while_only(
    backend: RedisBackend, database_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever relays has dead workers to look for."""
    with transaction.atomic(using=database_alias):
        add.enqueue_many([((number,), {}) for number in range(10)])
        connections[database_alias].run_on_commit.clear()
    now = itertools.count(1000.0, 0.4)
    monkeypatch.setattr(outbox_module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    monkeypatch.setattr(outbox_module, "BATCH", 2)
    relayed = backend._place.outbox.relay()
    assert 0 < relayed < 10
    assert len(rows(database_alias)) == 10 - relayed == 10 - number_stored(backend)


def test_the_outbox_of_another_alias_is_left_alone(backend: RedisBackend, database_alias: str) -> None:
    row = OutboxRow.objects.using(database_alias).create(
        id=new_id(), alias="other", job="{}", created_at=datetime.now(UTC)
    )
    backend.broker.tidy()
    assert rows(database_alias) == {str(row.pk)}


def test_a_worker_settles_what_a_task_enqueued_in_its_own_transaction(
    backend: RedisBackend, database_alias: str
) -> None:
    with transaction.atomic(using=database_alias):
        outer = add.enqueue(1)
        with pytest.raises(_Stop), transaction.atomic(using=database_alias):
            inner = add.enqueue(2)
            raise _Stop
    work_off(backend)
    assert add.get_result(outer.id).return_value == 2
    assert inner.id not in rows(database_alias)
    assert number_stored(backend) == 1
