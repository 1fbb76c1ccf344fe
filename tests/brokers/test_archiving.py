"""A Redis whose finished jobs go to the database too keeps the contract like any other broker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from reinhardt_tasks.brokers.archiving import ArchivingBroker
from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.brokers.database.archive import archive
from reinhardt_tasks.brokers.redis import Connections, RedisBroker, Target
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Failed, Job, Released, Succeeded, TaskStatus, new_id
from tests.databases import emptied

from .contract import BrokerContract
from .promises.base import attempt_of, ids_of, new_job, new_worker, stored_job
from .promises.logs import log_of, messages_of


class TestArchivingRedis(BrokerContract):
    @pytest.fixture
    def broker(self, redis_server: Any, sqlite_database: str, django_db_blocker: Any) -> Iterator[Broker]:
        self.database = sqlite_database
        self.target = Target(url=redis_server.url)
        self.prefix = f"test:{new_id()}:"
        self.opened: list[Any] = []
        with django_db_blocker.unblock():
            emptied(sqlite_database)
            yield self.another_broker()
        for connections in self.opened:
            connections.close()

    def another_broker(self, alias: str = "default") -> Broker:
        self.opened.append(connections := Connections(self.target))
        return ArchivingBroker(
            RedisBroker(alias, connections, f"{self.prefix}{{{alias}.0}}:"),
            DatabaseBroker(alias, self.database),
            partial(archive, database=self.database),
            3600.0,
        )

    def ended(self, broker: Any, job: Job) -> Job:
        """It is the archive that is tallied, and its time is the worker's."""
        found: Job = broker.archived.get([job.id])[job.id]
        return found

    def test_counts_are_bounded(self, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is the inner broker that counts."""
        super().test_counts_are_bounded(broker.broker, monkeypatch)

    def test_who_dies_while_cancelling_loses_nothing(self, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = broker.enqueue([new_job(), new_job()])
        cancel = broker.broker.cancel

        def dies(ids: Any) -> Any:
            cancel(ids)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(broker.broker, "cancel", dies)
            with pytest.raises(KeyboardInterrupt):
                broker.cancel(ids_of(jobs))
        broker.broker.prune(datetime.now(UTC) + timedelta(hours=1), 10)
        assert {job.status for job in broker.get(ids_of(jobs)).values()} == {TaskStatus.CANCELLED}
        assert len(broker.get(ids_of(jobs))) == 2

    def test_a_cancellation_whose_archive_is_away_is_none(self, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        (job,) = broker.enqueue([new_job()])

        def away(jobs: Any) -> None:
            raise QueueError("The archive is away.")

        with monkeypatch.context() as patched:
            patched.setattr(broker, "_archive", away)
            with pytest.raises(QueueError):
                broker.cancel([job.id])
        assert stored_job(broker, job).status is TaskStatus.PENDING
        assert broker.cancel([job.id]) == [job.id]
        assert broker.archived.get([job.id])[job.id].status is TaskStatus.CANCELLED

    def test_one_that_was_cancelled_before_is_archived_by_the_next_who_tries(self, broker: Any) -> None:
        """As where a worker gave it back, or the answer of the first try was lost."""
        (job,) = broker.enqueue([new_job()])
        assert broker.broker.cancel([job.id]) == [job.id]
        assert broker.cancel([job.id]) == []
        assert broker.archived.get([job.id])[job.id].status is TaskStatus.CANCELLED

    def test_a_job_that_begins_while_it_is_cancelled_is_seen_as_it_is(
        self, broker: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (job,), worker = broker.enqueue([new_job()]), new_worker()
        cancel, claims = broker.broker.cancel, []

        def is_late(ids: Any) -> Any:
            claims.extend(broker.claim(None, 1, worker))
            return cancel(ids)

        with monkeypatch.context() as patched:
            patched.setattr(broker.broker, "cancel", is_late)
            assert broker.cancel([job.id]) == [job.id]
        assert stored_job(broker, job).status is TaskStatus.RUNNING
        assert broker.settle([Failed(claim=claims[0], attempt=attempt_of(claims[0]))]) == []
        assert stored_job(broker.archived, job).status is stored_job(broker, job).status is TaskStatus.FAILURE

    def test_a_job_that_succeeds_while_it_is_cancelled_keeps_its_result(
        self, broker: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (job,), worker = broker.enqueue([new_job()]), new_worker()
        keep = broker._keep_ended

        def is_late(jobs: Any) -> None:
            monkeypatch.setattr(broker, "_keep_ended", keep)
            (claim,) = broker.claim(None, 1, worker)
            broker.settle([Succeeded(claim=claim, result='"done"')])
            keep(jobs)

        monkeypatch.setattr(broker, "_keep_ended", is_late)
        assert broker.cancel([job.id]) == []
        broker.broker.prune(datetime.now(UTC) + timedelta(hours=1), 10)
        ended = stored_job(broker, job)
        assert (ended.status, ended.result) == (TaskStatus.SUCCESS, '"done"')

    def test_what_lies_in_the_archive_only_is_tried_again_with_its_past(self, broker: Any) -> None:
        worker = new_worker()
        (failed, succeeded) = broker.enqueue([new_job(queue="a"), new_job(queue="a")])
        claims = {claim.job.id: claim for claim in broker.claim(["a"], 2, worker)}
        attempt = attempt_of(claims[failed.id])
        log = log_of(claims[failed.id], "before")
        broker.settle(
            [Failed(claim=claims[failed.id], attempt=attempt, log=log), Succeeded(claim=claims[succeeded.id])]
        )
        assert broker.broker.prune(datetime.now(UTC) + timedelta(hours=1), 10) == 2
        assert broker.broker.get([failed.id, succeeded.id]) == {}

        assert broker.retry([failed.id, succeeded.id, new_id()]) == [failed.id]
        assert broker.archived.get([failed.id]) == {}
        (again,) = broker.claim(["a"], 2, worker)
        assert again.job.id == failed.id and again.token == 2
        assert [item.exception for item in again.job.history] == [attempt.exception]
        # The first claim of it is as late as it was.
        assert broker.settle([Succeeded(claim=claims[failed.id])]) == [claims[failed.id]]
        assert broker.settle([Succeeded(claim=again, log=log_of(again, "after"))]) == []
        assert messages_of(broker, again) == messages_of(broker.archived, again) == [(1, "before"), (2, "after")]

    def test_what_is_given_back_after_it_was_cancelled_has_ended_in_the_archive_too(self, broker: Any) -> None:
        (job,) = broker.enqueue([new_job()])
        (claim,) = broker.claim(None, 1, new_worker())
        broker.cancel([job.id])
        broker.settle([Released(claim=claim)])
        broker.broker.prune(datetime.now(UTC) + timedelta(hours=1), 10)
        ended = stored_job(broker, job)
        assert (ended.status, ended.history) == (TaskStatus.CANCELLED, ())
        assert ended.finished_at is not None

    def test_arguments_are_rewritten_wherever_a_job_lies(self, broker: Any) -> None:
        worker, (job,) = new_worker(), broker.enqueue([new_job()])
        (claim,) = broker.claim(None, 1, worker)
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim))])
        assert broker.rewrite(job.id, "[[1],{}]")
        assert broker.archived.get([job.id])[job.id].payload == "[[1],{}]"
        broker.broker.prune(datetime.now(UTC) + timedelta(hours=1), 10)
        assert broker.rewrite(job.id, "[[2],{}]")
        assert broker.retry([job.id]) == [job.id]
        (again,) = broker.claim(None, 1, worker)
        assert again.job.payload == "[[2],{}]"

    def test_what_runs_again_already_is_not_revived(self, broker: Any) -> None:
        worker = new_worker()
        broker.enqueue([new_job()])
        (claim,) = broker.claim(None, 1, worker)
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim))])
        old = stored_job(broker, claim.job)
        assert broker.retry([old.id]) == [old.id]
        assert broker.revive([old]) == []
        assert len(broker.claim(None, 5, worker)) == 1

    def test_a_worker_that_is_quicker_than_whoever_retries_leaves_its_end_in_the_archive(
        self, broker: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker = new_worker()
        (job,) = broker.enqueue([new_job()])
        (claim,) = broker.claim(None, 1, worker)
        broker.settle([Failed(claim=claim, attempt=attempt_of(claim))])
        retry = broker.broker.retry

        def retried_and_run(ids: Any) -> Any:
            done = retry(ids)
            (again,) = broker.claim(None, 1, worker)
            broker.settle([Succeeded(claim=again, result="7")])
            return done

        monkeypatch.setattr(broker.broker, "retry", retried_and_run)
        assert broker.retry([job.id]) == [job.id]
        assert broker.archived.get([job.id])[job.id].result == "7"
