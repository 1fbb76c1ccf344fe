"""No verb of a worker reads the backlog, on any database, and whatever PostgreSQL believes about the table of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from reinhardt_tasks.brokers.base import Queues, Room
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.gates import Limit
from reinhardt_tasks.jobs import Succeeded
from reinhardt_tasks.models import JobRow

from .promises.base import LONG, ids_of, new_job, new_worker
from .test_bounds import ROWS_FOR_ONE as ROWS_ALLOWED
from .test_bounds import WALKED, counted

TABLE = JobRow._meta.db_table
#: Of each kind; so few that to read all of them seems cheap beside looking up a hundred.
MANY, SOME = 10_000, 100
#: Rows that a verb may read for each that it is about: it is found, locked, and changed, more than once where it has limits.
ROWS_FOR_ONE = 12
#: Of what `counted` allows, which is thousands of rows.
LITTLE = 0.1


@pytest.fixture
def broker(postgres_database: str, django_db_blocker: Any) -> Iterator[DatabaseBroker]:
    """A broker on an empty table, about which PostgreSQL learns nothing but by the test."""
    with django_db_blocker.unblock():
        broker = DatabaseBroker("default", postgres_database)
        tell(broker, f"TRUNCATE {TABLE} CASCADE", f"ALTER TABLE {TABLE} SET (autovacuum_enabled = off)")
        yield broker
        tell(broker, f"TRUNCATE {TABLE} CASCADE", f"ALTER TABLE {TABLE} RESET (autovacuum_enabled)")
        broker.close()


def tell(broker: DatabaseBroker, *statements: str) -> None:
    with connections[broker.session.alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def enqueue(broker: DatabaseBroker, number: int, **values: Any) -> list[str]:
    jobs = [new_job(**values) for _ in range(number)]
    return [job.id for start in range(0, number, 2_000) for job in broker.enqueue(jobs[start : start + 2_000])]


def a_few_were_ready(broker: DatabaseBroker) -> None:
    enqueue(broker, 5)
    tell(broker, f"ANALYZE {TABLE}")


def all_had_ended(broker: DatabaseBroker) -> None:
    enqueue(broker, MANY)
    tell(broker, f"UPDATE {TABLE} SET status = 'SUCCESS', lane = NULL, finished_at = 1", f"ANALYZE {TABLE}")


def all_ran(broker: DatabaseBroker) -> None:
    enqueue(broker, MANY)
    tell(broker, f"UPDATE {TABLE} SET status = 'RUNNING', lane = NULL, held_by = 'somebody'", f"ANALYZE {TABLE}")
    tell(broker, f"UPDATE {TABLE} SET status = 'SUCCESS', held_by = NULL, finished_at = 1")


def all_were_ready(broker: DatabaseBroker) -> None:
    enqueue(broker, MANY)
    tell(broker, f"UPDATE {TABLE} SET is_async = (due_at % 2 = 0)", f"ANALYZE {TABLE}")
    tell(broker, f"UPDATE {TABLE} SET status = 'SUCCESS', lane = NULL, is_async = FALSE, finished_at = 1")


def nothing_is_out_of_date(broker: DatabaseBroker) -> None:
    """See below."""


@pytest.mark.parametrize("queues", [None, ["default"]])
def test_a_claim_reads_no_backlog(database_alias: str, queues: Queues) -> None:
    broker, worker = DatabaseBroker("default", database_alias), new_worker()
    for queue in ("a", "b", "default"):
        enqueue(broker, MANY // 2, queue=queue)
    broker.heartbeat(worker)
    with counted(database_alias) as read:
        assert broker.wait(queues, 0)
        assert len(broker.claim(queues, 5, worker)) == 5
    assert read() < LITTLE
    broker.close()


BELIEFS = [a_few_were_ready, all_were_ready, all_ran, all_had_ended, nothing_is_out_of_date]


@pytest.mark.parametrize("belief", BELIEFS)
def test_no_verb_reads_the_backlog(broker: DatabaseBroker, belief: Callable[[DatabaseBroker], None]) -> None:
    belief(broker)
    later = datetime.now(UTC) + timedelta(seconds=LONG)
    enqueue(broker, MANY, priority=1)
    enqueue(broker, MANY, run_after=later)
    due = enqueue(broker, SOME, run_after=later, queue="due")
    coroutines = enqueue(broker, SOME, is_async=True)
    if belief is nothing_is_out_of_date:
        tell(broker, f"VACUUM ANALYZE {TABLE}")
    worker, lost = new_worker(), new_worker("lost")
    for each in (worker, lost):
        broker.heartbeat(each)
    connection = connections[broker.session.alias]
    read: dict[str, float] = {}

    def reads(verb: str, work: Callable[[], Any]) -> Any:
        with counted(connection.alias) as rows:
            # As in Django's TestCase: what the broker puts off to the end of its caller's transaction is done.
            connection.atomic_blocks[-1]._from_testcase = True
            answer = work()
        read[verb] = rows() * WALKED * ROWS_ALLOWED / SOME
        return answer

    room = Room(functions=0, coroutines=SOME, total=SOME)
    assert reads("wait", lambda: broker.wait(["default"], 0, (True,)))
    found = reads("claim one kind", lambda: broker.claim(["default"], room, lost))
    assert ids_of(found) == coroutines
    assert not reads("wait in vain", lambda: broker.wait(["default"], 0, (True,)))
    assert reads("claim one kind in vain", lambda: broker.claim(["default"], room, worker)) == []
    broker.leave(lost)
    rescued = reads("rescue", lambda: broker.rescue(SOME, worker))
    assert sorted(ids_of(rescued)) == coroutines
    assert reads("settle", lambda: broker.settle([Succeeded(claim=claim) for claim in rescued])) == []
    assert len(reads("claim any", lambda: broker.claim(None, SOME, worker))) == SOME
    tell(broker, f"UPDATE {TABLE} SET wakes_at = 1 WHERE queue = 'due'")
    broker._promoted_at = 0.0
    assert sorted(ids_of(reads("promote", lambda: broker.claim(["due"], SOME, worker)))) == due
    limited = enqueue(broker, SOME, queue="limited", limits=(Limit(key="key", size=SOME),))
    assert sorted(ids_of(reads("attend", lambda: broker.claim(["limited"], SOME, worker)))) == limited
    assert {verb: rows for verb, rows in read.items() if rows > ROWS_FOR_ONE} == {}
