"""What it costs to claim one kind behind very many of the other, and what versions write and read that know of no kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from reinhardt_tasks.brokers.base import BOTH, Broker, Room
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.brokers.database.outbox import job_as_text, job_from_text
from reinhardt_tasks.tasks import task

from .promises.base import ids_of, new_job, new_worker, stored_job
from .promises.kinds import COROUTINES, FUNCTIONS, coroutine, only
from .redis_makers import Make, make
from .test_bounds import counted

__all__ = ["make"]

MANY, FEW = 20_000, 5
#: Of what `counted` allows, which is thousands of rows.
LITTLE = 0.1
#: Commands of one claim in Redis, those of its script included; ten for each job.
COMMANDS = 25 + 10 * FEW


@pytest.fixture
def database(database_alias: str) -> Iterator[DatabaseBroker]:
    broker = DatabaseBroker("default", database_alias)
    yield broker
    broker.close()


def fill(broker: Broker, is_async: bool) -> list[str]:
    """Store very many of one kind, and a few of the other behind them; return the ids of those."""
    for _ in range(MANY // 4_000):
        broker.enqueue([new_job(is_async=not is_async, priority=1) for _ in range(4_000)])
    return ids_of(broker.enqueue([new_job(is_async=is_async) for _ in range(FEW)]))


@pytest.fixture
def slow_commits(database_alias: str) -> Iterator[str]:
    """A PostgreSQL whose disk takes its time with every claim; the database's alias."""
    with connections[database_alias].cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END $$"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER take_time AFTER UPDATE ON reinhardt_tasks_job "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_time()"
        )
    yield database_alias
    # The broker has closed its thread's connection.
    with connections[database_alias].cursor() as cursor:
        cursor.execute("DROP TRIGGER take_time ON reinhardt_tasks_job")
        cursor.execute("DROP FUNCTION take_time")


@pytest.mark.parametrize("database_alias", ["postgres"], indirect=True)
def test_a_disk_that_takes_its_time_hides_no_job_of_the_other_kind(slow_commits: str) -> None:
    """What takes long in a claim tells how much it walked over; what its commit takes tells nothing of that."""
    broker, worker = DatabaseBroker("default", slow_commits), new_worker()
    broker.heartbeat(worker)
    broker.enqueue([new_job(is_async=True)])
    assert len(broker.claim(["default"], 10, worker)) == 1
    both = broker.enqueue([new_job(is_async=True), new_job(is_async=False)])
    assert ids_of(broker.claim(["default"], 10, worker)) == ids_of(both)
    broker.close()


@pytest.mark.parametrize("is_async", BOTH)
def test_databases_do_not_walk_over_the_other_kind(
    database: DatabaseBroker, database_alias: str, is_async: bool
) -> None:
    ids = fill(database, is_async)
    if (connection := connections[database_alias]).vendor == "postgresql":
        with connection.cursor() as cursor:
            # What tests before this one have deleted lies in the index still.
            cursor.execute("VACUUM ANALYZE reinhardt_tasks_job")
    worker = new_worker()
    database.heartbeat(worker)
    with counted(database_alias) as read:
        assert database.wait(["default"], 0, (is_async,))
        assert ids_of(database.claim(["default"], only(is_async), worker)) == ids
        assert database.claim(["default"], only(is_async), worker) == []
        assert not database.wait(["default"], 0, (is_async,))
    assert read() < LITTLE
    with counted(database_alias) as read:
        found = database.claim(["default"], Room(functions=FEW, coroutines=FEW, total=FEW), worker)
    assert [claim.job.is_async for claim in found] == [not is_async] * FEW
    assert read() < LITTLE


@pytest.mark.parametrize("is_async", BOTH)
def test_redis_does_not_walk_over_the_other_kind(redis_server: Any, make: Make, is_async: bool) -> None:
    broker = make(redis_server.url)
    ids = fill(broker, is_async)
    worker = new_worker()
    broker.heartbeat(worker)
    client = broker.connections.sender
    client.config_resetstat()
    assert ids_of(broker.claim(["default"], only(is_async), worker)) == ids
    assert sum(each["calls"] for each in client.info("commandstats").values()) < COMMANDS


# Beside the version before


def test_rows_that_tell_no_kind_are_functions(database: DatabaseBroker, database_alias: str) -> None:
    (job,) = database.enqueue([coroutine()])
    columns = (
        "alias, name, queue, precedence, payload, status, token, metadata, cancel_requested, enqueued_at, due_at, lane"
    )
    with connections[database_alias].cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE former AS SELECT * FROM reinhardt_tasks_job")
        cursor.execute("DELETE FROM reinhardt_tasks_job")
        cursor.execute(f"INSERT INTO reinhardt_tasks_job (id, {columns}) SELECT id, {columns} FROM former")
        cursor.execute("DROP TABLE former")
    assert stored_job(database, job).is_async is False
    worker = new_worker()
    assert database.claim(None, COROUTINES, worker) == []
    assert ids_of(database.claim(None, FUNCTIONS, worker)) == [job.id]


def test_in_redis_whoever_knows_of_no_kinds_finds_both(redis_server: Any, make: Make) -> None:
    broker = make(redis_server.url)
    jobs = broker.enqueue([new_job(is_async=is_async) for is_async in (False, True)])
    assert sorted(broker.connections.sender.zrange(f"{broker.base}ready:default", 0, -1)) == sorted(ids_of(jobs))


def test_in_redis_a_coroutine_that_was_placed_by_such_is_found_among_functions(redis_server: Any, make: Make) -> None:
    broker = make(redis_server.url)
    function, job = broker.enqueue([new_job(), coroutine()])
    ready, client = f"{broker.base}ready:default", broker.connections.sender
    client.zadd(ready, {job.id: client.zscore(ready, function.id) + 1})
    worker = new_worker()
    assert broker.claim(None, COROUTINES, worker) == []
    assert ids_of(broker.claim(None, FUNCTIONS, worker)) == [function.id, job.id]


@task
async def run_in_loop() -> None: ...


def test_what_is_in_an_outbox_has_the_kind_of_its_code() -> None:
    job = new_job(name=run_in_loop.module_path, is_async=True)
    text = job_as_text(job)
    # To a version before, another word there would be an error.
    assert "is_async" not in text
    assert job_from_text(text) == job
