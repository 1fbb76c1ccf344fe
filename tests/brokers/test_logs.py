"""What keeping logs costs a store: no statement and no call more, and nothing to those who do not show them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks.brokers.base import Query
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.brokers.database.outcomes import LETTERS
from reinhardt_tasks.jobs import Claim, Failed, Outcome, Retrying, Succeeded

from .promises.base import attempt_of, claimed, new_job, new_worker, signed_in, stored_job
from .promises.logs import log_of
from .redis_makers import Make, make

__all__ = ["make"]


@pytest.fixture
def database(database_alias: str) -> Iterator[DatabaseBroker]:
    broker = DatabaseBroker("default", database_alias)
    yield broker
    broker.close()


def outcomes(claims: list[Claim], *, with_logs: bool) -> list[Outcome]:
    logs = [log_of(claim, "a line") if with_logs else None for claim in claims]
    return [
        Succeeded(claim=claims[0], log=logs[0]),
        Failed(claim=claims[1], attempt=attempt_of(claims[1]), log=logs[1]),
        Retrying(claim=claims[2], attempt=attempt_of(claims[2]), log=logs[2]),
    ]


def settled(broker: Any, *, with_logs: bool) -> None:
    worker = new_worker()
    broker.enqueue([new_job() for _ in range(3)])
    broker.settle(outcomes(broker.claim(None, 3, worker), with_logs=with_logs))


def statements(broker: DatabaseBroker, work: Any) -> list[str]:
    with CaptureQueriesContext(connections[broker.session.alias]) as found:
        work()
    return [query["sql"] for query in found]


def test_logs_take_no_statement_more(database: DatabaseBroker) -> None:
    numbers = []
    for with_logs in (False, True):
        worker = signed_in(database)
        database.enqueue([new_job() for _ in range(3)])
        some = outcomes(database.claim(None, 3, worker), with_logs=with_logs)
        numbers.append(len(statements(database, lambda some=some: database.settle(some))))
        database.delete([outcome.claim.job.id for outcome in some])
    assert numbers[0] == numbers[1] > 0


def test_neither_claims_nor_lists_read_logs_and_whoever_asks_for_one_job_does(database: DatabaseBroker) -> None:
    settled(database, with_logs=True)
    worker = signed_in(database)
    found = statements(database, lambda: (database.claim(None, 9, worker), database.find(Query())))
    assert found and not [sql for sql in found if "log" in sql.replace("logs", "")]
    assert all(job.log is None for job in database.find(Query()))
    assert all(stored_job(database, job).log for job in database.find(Query()))


def test_on_redis_logs_take_no_call_more_and_neither_claims_nor_lists_carry_them(make: Make, redis_server: Any) -> None:
    broker = make(redis_server.url)
    client = redis_server.client()

    def calls() -> int:
        stats = client.info("commandstats")
        return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval"))

    numbers = []
    for with_logs in (False, True):
        worker = signed_in(broker)
        broker.enqueue([new_job() for _ in range(3)])
        some = outcomes(broker.claim(None, 3, worker), with_logs=with_logs)
        before = calls()
        broker.settle(some)
        numbers.append(calls() - before)
        if not with_logs:
            broker.delete([outcome.claim.job.id for outcome in some])
    assert numbers == [1, 1]
    again = claimed(broker)
    assert (again.job.failures, again.job.log) == (1, None)
    assert [job.log for job in broker.find(Query())] == [None] * 3
    assert all(stored_job(broker, job).log for job in broker.find(Query()))
    lost = new_worker("lost")
    broker.settle([Retrying(claim=again, attempt=attempt_of(again))])
    claimed(broker, lost)
    broker.leave(lost)
    (rescued,) = broker.rescue(1, signed_in(broker))
    assert rescued.job.failures == 2 and rescued.job.log is None


def test_a_statement_is_bounded_by_letters_and_ordinary_outcomes_take_one(database: DatabaseBroker) -> None:
    worker = signed_in(database)
    lost, numbers = [], []
    for letters in (10, LETTERS // 2 - 100, LETTERS):
        database.enqueue([new_job() for _ in range(4)])
        claims = database.claim(None, 4, worker)
        some = [Succeeded(claim=claim, log=f"{claim.job.id}{'x' * letters}") for claim in claims]
        sent = statements(database, lambda some=some: lost.extend(database.settle(some)))
        numbers.append(len([sql for sql in sent if "log" in sql and "UPDATE" in sql.upper()]))
        assert all(len(sql) < 2 * LETTERS for sql in sent)
        for claim in claims:
            assert str(stored_job(database, claim).log).startswith(claim.job.id)
        database.delete([claim.job.id for claim in claims])
    assert (numbers, lost) == ([1, 2, 4], [])
