"""Limits on databases: what they cost those that have none, how lines are found, and who waits for whose transaction."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks.brokers.base import Broker, Changes, Query
from reinhardt_tasks.brokers.database import DatabaseBroker, gates
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.gates import Limit, Until
from reinhardt_tasks.jobs import Claim, Failed, Retrying, Succeeded, TaskStatus
from reinhardt_tasks.models import JobRow, LimitRow, TicketRow

from .promises.base import attempt_of, claimed, ids_of, new_job, new_worker, running, signed_in
from .promises.waiting import WaitingThread, begun

LIMITED = (Limit(key="key", size=1),)
TABLES = (TicketRow._meta.db_table, LimitRow._meta.db_table)
#: Jobs in a line; a plan is chosen by what there is.
MANY = 3000


@pytest.fixture
def broker(database_alias: str) -> Iterator[DatabaseBroker]:
    broker = DatabaseBroker("default", database_alias)
    yield broker
    broker.close()


def asked(broker: DatabaseBroker, work: Any) -> list[str]:
    """Return the statements of `work`, transactions left out."""
    with CaptureQueriesContext(connections[broker.session.alias]) as found:
        work()
    begin_and_end = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return [query["sql"] for query in found if not query["sql"].startswith(begin_and_end)]


def park_many(broker: DatabaseBroker) -> None:
    """Let one job hold a key, and many stand in line, without the way there."""
    running(broker, limits=LIMITED, queue="held")
    moment = datetime.now(UTC) - timedelta(hours=1)
    rows = [
        JobRow(
            id=job.id,
            alias="default",
            name=job.name,
            queue="default",
            precedence=-100,
            payload="{}",
            status="PENDING",
            token=0,
            limits=json.dumps([["key", 1, 0]]),
            enqueued_at=moment,
            due_at=moment,
        )
        for job in (new_job() for _ in range(MANY))
    ]
    using = broker.session.alias
    JobRow.objects.using(using).bulk_create(rows, batch_size=500)
    TicketRow.objects.using(using).bulk_create(
        [
            TicketRow(job_id=row.id, limit_key="default:key", place=0, token=0, precedence=-100, due_at=moment)
            for row in rows
        ],
        batch_size=500,
    )
    with connections[using].cursor() as cursor:
        for table in (JobRow._meta.db_table, *TABLES):
            cursor.execute({"mysql": f"ANALYZE TABLE {table}"}.get(connections[using].vendor, f"ANALYZE {table}"))


def held_by_key(broker: DatabaseBroker) -> Claim:
    (job,) = broker.find(Query(statuses=(TaskStatus.RUNNING,)))
    return Claim(job=job, token=job.token, worker=job.worker)


def scans(broker: DatabaseBroker, sql: str) -> list[str]:
    """Return what of a statement's plan reads a table of jobs or tickets from end to end, or sorts it."""
    connection = connections[broker.session.alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            lines = [row[3] for row in cursor.fetchall()]
            return [line for line in lines if re.match(r"SCAN (\w+ )?reinhardt|SCAN [tj]$|USE TEMP B-TREE", line)]
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            lines = [row[0] for row in cursor.fetchall()]
            cursor.execute("RESET enable_seqscan")
            return [line for line in lines if "Seq Scan on reinhardt_tasks_ticket" in line or "Sort" in line]
        cursor.execute(f"EXPLAIN {sql}")
        names = [column[0].lower() for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        rows = [row for row in rows if not str(row["table"]).startswith("<")]
        return [str(row) for row in rows if row["type"] in ("ALL", "index") or "filesort" in (row["extra"] or "")]


def test_jobs_without_limits_never_ask_for_any(broker: DatabaseBroker) -> None:
    park_many(broker)

    def live() -> None:
        worker = new_worker()
        for queues in (None, ["default"]):
            broker.enqueue([new_job() for _ in range(4)])
            one, two, *_ = broker.claim(queues, 2, worker)
            broker.settle([Failed(claim=one, attempt=attempt_of(one))])
            _, more = broker.exchange([Retrying(claim=two, attempt=attempt_of(two))], queues, 3, worker)
            broker.settle([Succeeded(claim=claim) for claim in more])
            broker.wait(queues, 0)

    statements = asked(broker, live)
    assert len(statements) > 10
    assert [sql for sql in statements if any(table in sql for table in TABLES)] == []


def test_a_line_costs_others_nothing(broker: DatabaseBroker) -> None:
    worker = new_worker()

    def cycle() -> None:
        # What is due is looked for every now and then; here in each cycle.
        broker._promoted_at = 0.0
        broker.enqueue([new_job()])
        (claim,) = broker.claim(["default"], 5, worker)
        broker.settle([Succeeded(claim=claim)])
        broker.wait(["default"], 0)

    cycle()
    before = len(asked(broker, cycle))
    park_many(broker)
    assert len(asked(broker, cycle)) == before
    assert broker.claim(["default"], 5, worker) == []


def test_a_slot_that_is_freed_asks_as_much_whatever_the_line(broker: DatabaseBroker) -> None:
    park_many(broker)
    worker, holder = new_worker(), held_by_key(broker)

    def free() -> None:
        nonlocal holder
        broker.settle([Succeeded(claim=holder)])
        (holder,) = broker.claim(["default"], 5, worker)

    statements = asked(broker, free)
    assert len(statements) < 30
    lookups = [sql for sql in statements if TABLES[0] in sql and not sql.startswith("INSERT")]
    assert len(lookups) >= 4
    for sql in lookups:
        assert scans(broker, sql) == [], sql


def test_nobody_waits_for_a_transaction_that_enqueues_limited_jobs(broker: DatabaseBroker) -> None:
    if connections[broker.session.alias].vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, whatever is written.")
    first, second = broker.enqueue([new_job(limits=LIMITED) for _ in range(2)])
    claim = claimed(broker)

    def others() -> list[str]:
        other = DatabaseBroker("default", broker.session.alias)
        try:
            assert other.settle([Succeeded(claim=claim)]) == []
            return ids_of(other.claim(None, 10, new_worker()))
        finally:
            other.close()
            connections.close_all()

    with transaction.atomic(using=broker.session.alias), ThreadPoolExecutor(1) as threads:
        (third,) = broker.enqueue([new_job(limits=LIMITED)])
        broker.cancel([broker.enqueue([new_job(limits=LIMITED)])[0].id])
        assert threads.submit(others).result(timeout=60) == [second.id]
    assert first.id == claim.job.id
    assert broker.claim(None, 10, new_worker()) == []
    broker.settle([Succeeded(claim=held_by_key(broker))])
    assert claimed(broker).job.id == third.id


def test_who_settles_in_a_transaction_leaves_the_slot_to_others_when_it_commits(broker: DatabaseBroker) -> None:
    claim = running(broker, limits=LIMITED)
    (second,) = broker.enqueue([new_job(limits=LIMITED)])
    other = DatabaseBroker("default", broker.session.alias)
    with broker.transaction():
        assert broker.settle([Succeeded(claim=claim)]) == []
        assert TicketRow.objects.using(broker.session.alias).filter(job_id=claim.job.id).exists()
    # As if that one had died here.
    assert ids_of(other.claim(None, 10, new_worker())) == [second.id]
    other.close()


def test_what_has_a_slot_to_give_back_is_not_pruned(broker: DatabaseBroker) -> None:
    claim = running(broker, limits=LIMITED)
    (second,) = broker.enqueue([new_job(limits=LIMITED)])
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with broker.transaction():
        broker.settle([Succeeded(claim=claim)])
        assert broker.prune(tomorrow, 10) == 0
    assert claimed(broker).job.id == second.id
    assert broker.prune(tomorrow, 10) == 1


def test_a_row_that_somebody_deletes_by_hand_keeps_no_slot(broker: DatabaseBroker) -> None:
    claim = running(broker, limits=LIMITED)
    broker.enqueue([new_job(limits=LIMITED)])
    assert broker.claim(None, 10, new_worker()) == []
    JobRow.objects.using(broker.session.alias).filter(pk=claim.job.id).delete()
    broker.enqueue([new_job(limits=LIMITED)])
    assert len(broker.claim(None, 10, new_worker())) == 1


@pytest.mark.parametrize("queues", [None, ["default"]], ids=["all", "named"])
def test_a_key_until_started_is_free_in_the_very_statement_that_claims(
    broker: DatabaseBroker, queues: list[str] | None
) -> None:
    if not broker.session.dialect.is_single:
        pytest.skip("MariaDB and MySQL claim in a transaction, whatever is claimed.")
    (first,) = broker.enqueue([new_job(once_key="once", once_until=Until.STARTED)])
    broker.enqueue([new_job()])
    answers = []

    def others() -> None:
        other = DatabaseBroker("default", broker.session.alias)
        try:
            (job,) = other.enqueue([new_job(once_key="once", once_until=Until.STARTED)])
            answers.append((job.id == first.id, other.get([first.id])[first.id].status))
        finally:
            other.close()
            connections.close_all()

    def between(execute: Any, sql: str, *args: Any) -> Any:
        if not connection.in_atomic_block:
            with ThreadPoolExecutor(1) as threads:
                threads.submit(others).result(timeout=60)
        return execute(sql, *args)

    connection = connections[broker.session.alias]
    worker = signed_in(broker)
    broker.claim([], 1, worker)
    with connection.execute_wrapper(between):
        claim = claimed(broker, worker, queues)
        assert (claim.job.id, claim.job.once_key) == (first.id, None)
        # As whoever settles does it.
        broker.heartbeat(worker)
    assert (True, TaskStatus.RUNNING) not in answers
    assert answers[-1] == (False, TaskStatus.RUNNING)


def test_a_claim_that_frees_a_key_asks_as_much_as_any(broker: DatabaseBroker) -> None:
    worker = signed_in(broker)

    def asked_for(**values: Any) -> int:
        broker.enqueue([new_job(**values)])
        broker._promoted_at = 0.0
        return len(asked(broker, lambda: claimed(broker, worker, ["default"])))

    assert asked_for(once_key="once", once_until=Until.STARTED) == asked_for()


@pytest.mark.parametrize("verb", ["claim", "exchange"])
def test_what_is_recorded_and_held_is_told_though_the_claim_behind_it_fails(
    broker: DatabaseBroker, verb: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = signed_in(broker)
    claim = running(broker, worker, limits=LIMITED)
    (free,) = broker.enqueue([new_job()])
    (second,) = broker.enqueue([new_job(limits=LIMITED)])
    # Another has seen to it that nobody knocks when the first claim is made.
    broker.attend()
    broker.promote(connections[broker.session.alias].cursor(), now=True)
    broker._is_knocked_at = verb == "claim"
    claims = []

    def fails_later(*args: Any, **options: Any) -> list[Claim]:
        if claims:
            raise QueueError("the connection broke between two statements")
        claims.append(real(*args, **{**options, "heeds": False}))
        return claims[0]

    real = broker._claim
    with monkeypatch.context() as patch:
        patch.setattr(broker, "_claim", fails_later)
        if verb == "exchange":
            lost, found = broker.exchange([Succeeded(claim=claim)], ["default"], 5, worker)
            assert lost == []
            assert broker.get([claim.job.id])[claim.job.id].status is TaskStatus.SUCCESS
        else:
            found = broker.claim(["default"], 5, worker)
    assert ids_of(found) == [free.id]
    assert "waits for the next claim: the connection broke between two statements" in caplog.text
    # Nothing is held that nobody was told of.
    held = broker.heartbeat(worker).held
    assert held.keys() == {free.id} | ({claim.job.id} if verb == "claim" else set())
    if verb == "claim":
        broker.settle([Succeeded(claim=claim)])
    assert ids_of(broker.claim(["default"], 5, worker)) == [second.id]


def test_a_claim_that_has_nothing_in_hand_tells_of_its_failure(
    broker: DatabaseBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = signed_in(broker)
    broker.enqueue([new_job(limits=LIMITED)])

    def fails(*args: Any, heeds: bool = False) -> list[Claim]:
        if heeds:
            return real(*args, heeds=True)
        raise QueueError("the connection broke between two statements")

    real = broker._claim
    monkeypatch.setattr(broker, "_claim", fails)
    with pytest.raises(QueueError, match="between two statements"):
        broker.claim(["default"], 5, worker)


def test_backends_that_share_a_database_share_no_keys(broker: DatabaseBroker) -> None:
    other = DatabaseBroker("other", broker.session.alias)
    broker.enqueue([new_job(limits=LIMITED, once_key="once", once_until=Until.FINISHED)])
    other.enqueue([new_job(limits=LIMITED, once_key="once", once_until=Until.FINISHED, backend="other")])
    assert len(broker.claim(None, 10, new_worker())) == len(other.claim(None, 10, new_worker())) == 1
    other.close()


def test_rules_that_nobody_needs_are_swept_away(broker: DatabaseBroker) -> None:
    worker = new_worker()
    for number in range(5):
        broker.enqueue([new_job(limits=(Limit(key=f"user{number}", size=1),))])
    broker.enqueue([new_job(limits=(Limit(key="slow", size=1, every=3_600_000_000),))])
    claims = broker.claim(None, 100, worker)
    broker.settle([Succeeded(claim=claim) for claim in claims[1:]])
    for _ in range(5):
        broker.prune(datetime.now(UTC) - timedelta(days=1), 2)
    left = set(LimitRow.objects.using(broker.session.alias).values_list("limit_key", flat=True))
    # One is in use, the other's time is not over.
    assert left == {f"default:{claims[0].job.limits[0].key}", "default:slow"}


def test_a_rate_holds_through_a_sweep_that_has_found_it_idle(
    broker: DatabaseBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated = (Limit(key="rate", size=1, every=3_600_000_000),)
    LimitRow.objects.using(broker.session.alias).create(limit_key="default:rate", size=1, every=rated[0].every, reach=0)
    connection, started = connections[broker.session.alias], []
    run = broker.session.run

    def start() -> None:
        other = DatabaseBroker("default", broker.session.alias)
        try:
            other.enqueue([new_job(limits=rated)])
            worker = new_worker()
            claims = [claim for _ in range(3) for claim in other.claim(None, 5, worker)]
            assert other.settle([Succeeded(claim=claim) for claim in claims]) == []
            started.extend(ids_of(claims))
        finally:
            other.close()
            connections.close_all()

    def starting(call: Any, *args: Any, **options: Any) -> Any:
        # Another starts one wherever the sweep holds nothing back.
        if not connection.in_atomic_block:
            with ThreadPoolExecutor(1) as threads:
                threads.submit(start).result(timeout=60)
        return call(*args, **options)

    looked = broker._run(lambda cursor: gates.idle(cursor, broker._dialect, "", 10))
    assert looked == (["default:rate"], "")
    with monkeypatch.context() as patch, connection.execute_wrapper(starting):
        patch.setattr(broker.session, "run", partial(starting, run))
        patch.setattr(gates, "idle", lambda *args: looked)
        broker.prune(datetime.now(UTC) - timedelta(days=1), 10)
    start()
    assert len(started) == 1
    assert LimitRow.objects.using(broker.session.alias).get().reach > 0


def test_no_rule_is_swept_away_that_somebody_stands_before(broker: DatabaseBroker) -> None:
    running(broker, limits=LIMITED)
    broker._run(lambda cursor: gates.drop(cursor, broker._dialect, ["default:key"]), together=True)
    assert LimitRow.objects.using(broker.session.alias).count() == 1


def test_pruning_asks_no_more_where_no_rule_is_idle(broker: DatabaseBroker) -> None:
    running(broker, limits=LIMITED)
    statements = asked(broker, lambda: broker.prune(datetime.now(UTC) - timedelta(days=1), 10))
    assert len(statements) == 2


def test_a_job_with_damaged_limits_runs_without(broker: DatabaseBroker) -> None:
    (job,) = broker.enqueue([new_job(limits=LIMITED)])
    JobRow.objects.using(broker.session.alias).filter(pk=job.id).update(limits="{not json")
    (other,) = broker.enqueue([new_job(limits=LIMITED)])
    assert sorted(ids_of(broker.claim(None, 10, new_worker()))) == sorted([job.id, other.id])


def test_a_limited_job_moves_to_another_lane_with_its_place_in_line(broker: Broker) -> None:
    (job,) = broker.enqueue([new_job(limits=LIMITED)])
    broker.wait(None, 0)
    assert broker.change([job.id], Changes(queue="other")) == [job.id]
    assert broker.claim(["default"], 10, new_worker()) == []
    assert ids_of(broker.claim(["other"], 10, new_worker())) == [job.id]


def test_limits_work_in_the_transaction_around_a_test(broker: DatabaseBroker) -> None:
    atomic = transaction.atomic(using=broker.session.alias)
    atomic._from_testcase = True
    with atomic:
        first, second = broker.enqueue([new_job(limits=LIMITED) for _ in range(2)])
        claim = claimed(broker)
        assert claim.job.id == first.id
        broker.settle([Succeeded(claim=claim)])
        assert claimed(broker).job.id == second.id


def test_an_idle_worker_hears_of_a_slot_that_another_frees(broker: DatabaseBroker) -> None:
    if connections[broker.session.alias].vendor == "mysql":
        pytest.skip("MariaDB and MySQL tell nobody anything: there it polls.")
    patient = DatabaseBroker("default", broker.session.alias)
    patient.poll_interval = 3600
    claim = running(broker, limits=LIMITED)
    broker.enqueue([new_job(limits=LIMITED)])
    assert broker.claim(None, 10, new_worker()) == []
    with begun(WaitingThread(patient)):
        broker.settle([Succeeded(claim=claim)])
    patient.close()


def test_the_lines_of_one_alias_are_found_behind_those_of_another(broker: DatabaseBroker, database_alias: str) -> None:
    other = DatabaseBroker("another", database_alias)
    for number in range(5):
        other.enqueue([new_job(backend="another", limits=(Limit(key=f"k{number}", size=1),)) for _ in range(2)])
    broker.enqueue([new_job(limits=LIMITED) for _ in range(2)])
    for each in (other, broker):
        each.claim(None, 10, new_worker())
    assert [line.limit.key for line in broker.lines(5)] == ["key"]
    assert [line.limit.key for line in other.lines(5)] == [f"k{number}" for number in range(5)]
    other.close()
