"""An outbox with a row that cannot be sent: it keeps no other, is seen, and goes when it can."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks import operations
from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.brokers.database import outbox as outbox_module
from reinhardt_tasks.brokers.database.outbox import ASIDE, job_as_text
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Job, new_id
from reinhardt_tasks.models import OutboxRow
from tests.servers import RedisServer, wait_until
from tests.worker.running import job_for

from .chores import add
from .redis_doors import Door, door, redis_of, shard_away

__all__ = ["door"]

#: `leave(job, text)` writes a row as if whoever wrote it had died before it was sent, each one after the last.
Leave = Callable[..., Job]


@pytest.fixture
def backend(door: Door, database_alias: str) -> RedisBackend:
    return door(OUTBOX=True, DATABASE=database_alias)


@pytest.fixture
def leave(database_alias: str) -> Leave:
    moments = (datetime.now(UTC) - timedelta(minutes=1) + timedelta(seconds=number) for number in range(30))

    def write(job: Job | None = None, text: str | None = None) -> Job:
        job = job or job_for(add, 1)
        OutboxRow.objects.using(database_alias).create(
            id=job.id, alias="default", job=job_as_text(job) if text is None else text, created_at=next(moments)
        )
        return job

    return write


def text_of_a_later_release(job: Job) -> str:
    return json.dumps({**json.loads(job_as_text(job)), "something": "new"})


def left(database: str) -> set[str]:
    return {str(pk) for pk in OutboxRow.objects.using(database).values_list("pk", flat=True)}


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def start_anew(backend: RedisBackend) -> None:
    """As another process does."""
    backend._place.outbox._aside_at = 0.0


def alerts() -> list[str]:
    (one,) = operations.overview()
    return [alert.code for alert in one.alerts if alert.code != "no_worker"]


def test_what_a_later_release_wrote_keeps_no_other_and_is_sent_by_that(
    backend: RedisBackend, database_alias: str, leave: Leave, caplog: pytest.LogCaptureFixture
) -> None:
    later = job_for(add, 1)
    leave(later, text_of_a_later_release(later))
    good = leave()
    assert alerts() == []
    backend.broker.tidy()
    assert set(backend.broker.get([later.id, good.id])) == {good.id}
    assert left(database_alias) == {later.id}
    (told,) = errors(caplog)
    assert f"Task id={later.id} cannot be sent to TASKS['default']" in told
    assert "something" in told
    assert alerts() == ["unsent"]

    start_anew(backend)
    backend.broker.tidy()
    assert left(database_alias) == {later.id}
    assert len(errors(caplog)) == 1, "it is told once"

    # The release that wrote it reads it.
    OutboxRow.objects.using(database_alias).update(job=job_as_text(later))
    backend.broker.tidy()
    assert left(database_alias) == {later.id}, "it is not tried every two seconds"
    start_anew(backend)
    backend.broker.tidy()
    assert left(database_alias) == set()
    assert set(backend.broker.get([later.id])) == {later.id}
    assert alerts() == []


@pytest.mark.parametrize(
    "text", ["", "?", "null", "[]", "{}", '{"name": 1}', '{"run_after": "x"}', '{"run_after": 1e400}', "[" * 100_000]
)
@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_a_damaged_row_keeps_no_other(backend: RedisBackend, database_alias: str, leave: Leave, text: str) -> None:
    bad, good = leave(text=text), leave()
    backend.broker.tidy()
    assert left(database_alias) == {bad.id}
    assert set(backend.broker.get([bad.id, good.id])) == {good.id}


def test_what_redis_does_not_take_keeps_no_other_and_goes_when_that_is_mended(
    backend: RedisBackend, database_alias: str, caplog: pytest.LogCaptureFixture
) -> None:
    shard = redis_of(backend)
    with shard.connections.sender as client:
        client.set(f"{shard.base}ready:emails", "something else")
        with transaction.atomic(using=database_alias):
            bad = add.using(queue_name="emails").enqueue(1)
            good = add.enqueue(1)
        assert left(database_alias) == {bad.id}
        assert set(backend.broker.get([bad.id, good.id])) == {good.id}
        assert "ready:emails" in errors(caplog)[0]
        client.delete(f"{shard.base}ready:emails")
    start_anew(backend)
    backend.broker.tidy()
    assert left(database_alias) == set()
    assert set(backend.broker.get([bad.id])) == {bad.id}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "values", [{"once_key": "half \ud83d", "debounce": 1.0}, {"queue": "\ud83d"}, {"priority": {}}]
)
def test_a_job_that_redis_cannot_take_is_set_aside_also_where_it_is_alone(
    door: Door, database_alias: str, leave: Leave, values: dict[str, Any], shards: int
) -> None:
    backend = door(OUTBOX=True, DATABASE=database_alias, SHARDS=shards)
    bad = leave(replace(job_for(add, 1), **values))
    backend.broker.tidy()
    assert left(database_alias) == {bad.id}
    assert backend.unsent() == 1
    good = leave()
    backend.broker.tidy()
    assert set(backend.broker.get([good.id])) == {good.id}


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_a_shard_that_is_away_keeps_its_own_rows_only(
    door: Door, database_alias: str, leave: Leave, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH", 4)
    backend = door(OUTBOX=True, DATABASE=database_alias, SHARDS=3)
    jobs = sorted([leave() for _ in range(20)], key=lambda job: backend.broker.part_of(job) != lost_part(backend))
    lost = {job.id for job in jobs if backend.broker.part_of(job) == lost_part(backend)}
    assert 0 < len(lost) < 20
    with shard_away(backend, 1):
        # All that belong to it come first.
        OutboxRow.objects.using(database_alias).filter(pk__in=lost).update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
        # Each goes on for a second; one that asks a shard that is away may be at its first batch still.
        wait_until(lambda: backend.broker.tidy() or left(database_alias) == lost, "all others are sent")
        assert errors(caplog) == [] and "until their part of the store is back" in caplog.text
    start_anew(backend)
    backend.broker.tidy()
    assert left(database_alias) == set()
    assert len(backend.broker.get([job.id for job in jobs])) == 20


def lost_part(backend: RedisBackend) -> Any:
    broker: Any = backend.broker
    return broker.shards[1].base, None


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_a_server_that_takes_nothing_is_to_blame_itself(door: Door, database_alias: str, leave: Leave) -> None:
    with RedisServer(own=True, config=["maxmemory-policy noeviction"]) as server, server.client() as client:
        backend = door(URL=server.url, OUTBOX=True, DATABASE=database_alias)
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 1)
        ids = {leave().id for _ in range(2)}
        with pytest.raises(QueueError, match="raise maxmemory"):
            backend.broker.tidy()
        assert left(database_alias) == ids
        assert backend.unsent() == 0
        client.config_set("maxmemory", 0)
        backend.broker.tidy()
        assert left(database_alias) == set()


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_more_that_is_set_aside_than_is_sent_at_once_keeps_nobody(
    backend: RedisBackend, database_alias: str, leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BATCH", 2)
    bad = [leave(text="?") for _ in range(5)]
    backend.broker.tidy()
    mended, good = bad[4], leave()
    OutboxRow.objects.using(database_alias).filter(pk=mended.id).update(job=job_as_text(mended))
    start_anew(backend)
    backend.broker.tidy()
    assert left(database_alias) == {job.id for job in bad[:4]}
    assert set(backend.broker.get([mended.id, good.id])) == {mended.id, good.id}


def test_a_database_that_fails_after_the_commit_costs_the_caller_nothing(
    backend: RedisBackend, database_alias: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(jobs: Any) -> Any:
        raise OperationalError("database is locked")

    hooks: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(backend._place.outbox.broker, "enqueue", locked)
        with transaction.atomic(using=database_alias):
            result = add.enqueue(1)
            transaction.on_commit(lambda: hooks.append("the caller's own"), using=database_alias)
    assert hooks == ["the caller's own"]
    assert "1 tasks stay in the outbox until a worker sends them: database is locked" in caplog.text
    assert left(database_alias) == {result.id}
    backend.broker.tidy()
    assert left(database_alias) == set()


def test_a_relay_costs_one_look_and_one_deletion(backend: RedisBackend, database_alias: str, leave: Leave) -> None:
    for _ in range(3):
        leave()
    with CaptureQueriesContext(connections[database_alias]) as found:
        backend.broker.tidy()
    words = [query["sql"].split()[0] for query in found]
    assert [word for word in words if word in ("SELECT", "DELETE", "UPDATE", "INSERT")] == ["SELECT", "DELETE"]


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_an_outbox_that_cannot_be_read_is_told_as_such(
    backend: RedisBackend, database_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OutboxRow._meta, "db_table", "no_such_table")
    with pytest.raises(QueueError, match="outbox in the database 'sqlite'.*manage.py migrate"):
        backend.unsent()


def test_a_row_may_lie_there_for_long(database_alias: str) -> None:
    """Behind all moments of today, and where every database and Python can read it."""
    moment = datetime.now(UTC) + ASIDE
    OutboxRow.objects.using(database_alias).create(id=new_id(), alias="other", job="", created_at=moment)
    assert OutboxRow.objects.using(database_alias).get().created_at == moment
