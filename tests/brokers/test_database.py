"""The database broker keeps the contract on every database, and commits with its caller's transaction."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from reinhardt_tasks.brokers.base import BOTH, Broker, Pulse, Query, WorkerInfo
from reinhardt_tasks.brokers.database import DatabaseBroker, news, waiting
from reinhardt_tasks.brokers.database import broker as database_broker
from reinhardt_tasks.brokers.database.ears import PollingEar, PostgresqlEar
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Released, Retrying, Succeeded, TaskStatus
from tests.servers import wait_until

from .contract import BrokerContract
from .promises.base import (
    LONG,
    SHORT_LEASE,
    attempt_of,
    claimed,
    ids_of,
    new_job,
    new_worker,
    running,
    signed_in,
    stored_job,
)
from .promises.waiting import TOO_LATE, WaitingThread, begun


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as a worker's coroutines may have sockets: more than select() can tell apart."""
    number = 1100
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, 2 * number), most))
    except ValueError:
        pytest.skip(f"No process may have {2 * number} files open here.")
    with ExitStack() as files:
        for _ in range(number):
            files.enter_context(open(os.devnull))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


class TestDatabaseBroker(BrokerContract):
    @pytest.fixture
    def broker(self, database_alias: str) -> Iterator[Broker]:
        self.database = database_alias
        self.opened: list[Broker] = []
        yield self.another_broker()
        for broker in self.opened:
            broker.close()

    def another_broker(self, alias: str = "default") -> Broker:
        broker = DatabaseBroker(alias, self.database)
        self.opened.append(broker)
        return broker

    def test_what_is_enqueued_in_a_transaction_is_there_when_it_commits(self, broker: Broker) -> None:
        assert broker.traits.is_transactional
        with transaction.atomic(using=self.database):
            (job,) = broker.enqueue([new_job()])
            assert _seen_by_others(self.database) == 0
        assert _seen_by_others(self.database) == 1
        assert claimed(broker).job.id == job.id

    def test_what_is_enqueued_in_a_transaction_is_gone_when_that_is_rolled_back(self, broker: Broker) -> None:
        with pytest.raises(_Stop), transaction.atomic(using=self.database):
            broker.enqueue([new_job(once_key="once")])
            raise _Stop
        assert broker.find(Query()) == []
        (job,) = broker.enqueue([new_job(once_key="once")])
        assert claimed(broker).job.id == job.id

    def test_what_the_database_says_of_a_row_that_it_refused_has_not_all_of_that(self, broker: Broker) -> None:
        with pytest.raises(QueueError) as told:
            broker.enqueue([new_job(name=None, payload='[["swordfish"],{}]')])
        assert "null" in str(told.value).lower() and "swordfish" not in str(told.value)

    def test_a_repeated_once_key_does_not_spoil_the_callers_transaction(self, broker: Broker) -> None:
        (first,) = broker.enqueue([new_job(once_key="once")])
        with transaction.atomic(using=self.database):
            answer = broker.enqueue([new_job(once_key="once"), new_job()])
        assert answer[0].id == first.id
        assert ids_of(broker.claim(None, 10, new_worker())) == ids_of(answer)

    def test_a_success_commits_with_the_tasks_own_work(self, broker: Broker) -> None:
        claim = running(broker)
        with pytest.raises(_Stop), broker.transaction():
            assert broker.settle([Succeeded(claim=claim)]) == []
            raise _Stop
        assert stored_job(broker, claim).status is TaskStatus.RUNNING

        with broker.transaction():
            assert broker.settle([Succeeded(claim=claim)]) == []
        assert stored_job(broker, claim).status is TaskStatus.SUCCESS

    def test_who_was_only_kept_from_writing_is_not_taken_for_dead(
        self, broker: DatabaseBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite has one writer at a time: a transaction that lasts as long as a lease keeps all heartbeats waiting."""
        kept = new_worker("kept", lease=SHORT_LEASE)
        claim = running(broker, kept)
        self.end_lease(broker, kept)
        beating = self.another_broker()
        # Both waited to write, and the other was first: the rescuer has seen it dead before.
        monkeypatch.setattr(broker, "_sign_in", lambda worker: beating.heartbeat(replace(kept, lease=LONG)))
        assert broker.rescue(10, new_worker("rescuer")) == []
        assert broker.settle([Succeeded(claim=claim)]) == []

    def test_who_was_kept_from_writing_itself_lets_others_beat_first(
        self, broker: DatabaseBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost, rescuer = new_worker("lost", lease=SHORT_LEASE), new_worker("rescuer")
        claim = running(broker, lost)
        self.end_lease(broker, lost)
        now, beat = [time.monotonic()], broker.heartbeat

        def beat_late(worker: WorkerInfo) -> Pulse:
            now[0] += rescuer.lease
            return beat(worker)

        monkeypatch.setattr(database_broker, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(broker, "heartbeat", beat_late)
        assert broker.rescue(10, rescuer) == []
        assert ids_of(broker.rescue(10, rescuer)) == [claim.job.id]

    def test_who_looks_dead_itself_takes_nobody_for_dead(self, broker: DatabaseBroker) -> None:
        late = signed_in(broker, "late", lease=SHORT_LEASE)
        kept = new_worker("kept", lease=SHORT_LEASE)
        claim = running(broker, kept)
        self.end_lease(broker, kept)
        assert broker.rescue(10, late) == []
        assert broker.heartbeat(kept).held == {claim.job.id: claim.token}

    def test_news_of_other_brokers_is_heard_without_polling(self, broker: Broker) -> None:
        if connections[self.database].vendor == "mysql":
            pytest.skip("MariaDB and MySQL tell nobody anything: there it polls.")
        patient, worker = self.another_broker(), new_worker()
        patient.poll_interval = 3600

        with begun(WaitingThread(patient)):
            broker.enqueue([new_job()])
        claim = claimed(broker, worker)
        with begun(WaitingThread(patient)):
            broker.settle([Released(claim=claim)])
        claim = claimed(broker, worker)
        with begun(WaitingThread(patient)):
            broker.settle([Retrying(claim=claim, attempt=attempt_of(claim), delay=0.2)])
        claimed(broker, worker)

        job = self.job_in(broker, TaskStatus.FAILURE)
        with begun(WaitingThread(patient)):
            broker.retry([job.id])
        broker.pause(job.queue)
        with begun(WaitingThread(patient)):
            broker.resume(job.queue)

    def test_news_is_heard_however_many_files_are_open(self, broker: Broker, many_files: None) -> None:
        if connections[self.database].vendor != "postgresql":
            pytest.skip("Only PostgreSQL is listened to over a socket.")
        patient = self.another_broker()
        patient.poll_interval = 3600
        with begun(WaitingThread(patient)):
            broker.enqueue([new_job()])

    @pytest.mark.parametrize("was_asleep", [True, False])
    def test_what_nobody_is_told_of_is_seen_by_whoever_just_heard_of_something_else(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch, was_asleep: bool
    ) -> None:
        """Telling takes its rests; those who go to sleep in one have heard what was told before it, and nothing since."""
        if connections[self.database].vendor != "postgresql":
            pytest.skip("Only PostgreSQL is told of tasks one by one.")
        monkeypatch.setattr(news, "QUIET", 1.0)
        monkeypatch.setattr(PostgresqlEar, "settle", 1.2)
        patient, worker = self.another_broker(), new_worker()
        patient.poll_interval = 3600
        is_listening, first, second = threading.Event(), WaitingThread(patient), WaitingThread(patient)

        def work() -> bool:
            patient.wait(None, 0)
            is_listening.set()
            if was_asleep:
                first.thread = threading.get_native_id()
                patient.wait(None, TOO_LATE)
            else:
                wait_until(lambda: broker.counts(), "the first is there")
            claimed(broker, worker)
            return second()

        with ThreadPoolExecutor(1) as threads:
            ended = threads.submit(work)
            is_listening.wait(TOO_LATE)
            if was_asleep:
                wait_until(first.has_begun, "it sleeps")
            broker.enqueue([new_job()])
            wait_until(second.has_begun, "it sleeps again")
            broker.enqueue([new_job()])
            assert ended.result(TOO_LATE) is True

    def test_what_is_stored_late_is_told_of(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever was told before has looked by then."""
        if connections[self.database].vendor != "postgresql":
            pytest.skip("Only PostgreSQL is told of tasks one by one.")
        assert isinstance(broker, DatabaseBroker)
        patient, insert = self.another_broker(), broker.session.dialect.insert
        patient.poll_interval = 3600

        def slowly(*args: Any) -> int:
            time.sleep(news.QUIET)
            return insert(*args)

        monkeypatch.setattr(broker.session.dialect, "insert", slowly)
        with begun(WaitingThread(patient)):
            broker.news._told_at = time.monotonic()
            broker.enqueue([new_job()])

    def test_what_cannot_be_told_of_is_stored_all_the_same(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An error would have the caller store it, or settle it, once more."""
        if connections[self.database].vendor == "mysql":
            pytest.skip("MariaDB and MySQL tell nobody anything: there it polls.")
        assert isinstance(broker, DatabaseBroker)

        def fail(cursor: Any) -> None:
            raise OperationalError("the connection is lost")

        monkeypatch.setattr(news.News, "is_notifying", True)
        monkeypatch.setattr(broker.news, "channel_if_due", lambda: None)
        monkeypatch.setattr(broker.news, "_tell", fail)
        (job,) = broker.enqueue([new_job()])
        claim = claimed(broker)
        assert claim.job.id == job.id
        assert broker.settle([Retrying(claim=claim, attempt=attempt_of(claim))]) == []
        assert caplog.text.count("could not be told of") == 2
        # There it may have spoilt all that the caller has done.
        with pytest.raises(QueueError), broker.transaction():
            broker.news.tell()

    def test_a_look_that_takes_long_is_followed_by_another(
        self, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is stored while it looks, in a sender's silence, is not in what it sees."""
        assert isinstance(broker, DatabaseBroker)
        ear = _Deaf()
        ear.is_told = True
        ear.settled_at = time.monotonic() + 0.01
        look = waiting.look

        def slowly(*args: Any) -> Any:
            answer = look(*args)
            time.sleep(0.02)
            return answer

        monkeypatch.setattr(waiting, "look", slowly)
        with pytest.raises(_Stop):
            waiting.wait(broker, ear, None, 3600, BOTH)
        assert ear.nap == 0.0

    @pytest.mark.parametrize(("idle_for", "factor"), [(0.0, None), (3.0, 0.3), (3600.0, 1.0)])
    def test_who_is_told_nothing_looks_the_rarer_the_longer_nothing_came(
        self, broker: Broker, idle_for: float, factor: float | None
    ) -> None:
        assert isinstance(broker, DatabaseBroker)
        broker.found_at = time.monotonic() - idle_for
        ear = _Deaf()
        with pytest.raises(_Stop):
            waiting.wait(broker, ear, None, 7200, BOTH)
        assert ear.nap == pytest.approx(factor * broker.poll_interval if factor else waiting.POLL_FIRST, rel=0.2)

    def test_backends_that_share_a_database_do_not_meet(self, broker: Broker) -> None:
        other = self.another_broker("other")
        mine, theirs = new_job(once_key="once"), new_job(once_key="once", backend="other")
        broker.enqueue([mine])
        assert other.claim(None, 10, new_worker()) == []
        other.enqueue([theirs])
        assert ids_of(other.find(Query())) == [theirs.id]
        assert [each.queue for each in other.counts()] == ["default"]

        broker.pause("default")
        worker = new_worker()
        claim = claimed(other, worker)
        assert claim.job.id == theirs.id
        other.leave(worker)
        assert broker.rescue(10, signed_in(broker)) == []
        assert len(broker.workers()) == 1
        (rescued,) = other.rescue(10, signed_in(other))
        other.settle([Succeeded(claim=rescued)])
        assert broker.prune(self.after(stored_job(other, rescued).finished_at), 10) == 0


class _Stop(Exception):
    pass


class _Deaf(PollingEar):
    """Notes how long it is to sleep, and does not."""

    nap: float | None = None
    is_asked = False

    def listen(self, seconds: float) -> bool:
        # The first time is before the look.
        if self.is_asked:
            self.nap = seconds
            raise _Stop
        self.is_asked = True
        return False


def _seen_by_others(alias: str) -> int:
    """Return how many jobs another connection sees."""
    own = connections[alias]
    other = own.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM reinhardt_tasks_job")
            return cursor.fetchone()[0]
    finally:
        other.close()
