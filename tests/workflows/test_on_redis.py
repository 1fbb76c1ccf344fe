"""Workflows in a database whose steps are in Redis: what is recorded here and sent there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from reinhardt_tasks import ChainStatus, QueueError, TaskChain, group, previous_result, step
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.models import StepRow
from reinhardt_tasks.workflows import following
from reinhardt_tasks.workflows.tending import tend
from tests import databases
from tests.backends.redis_doors import shard_away
from tests.servers import RedisServer

from .running import is_sound, worked_off
from .tasks import keep, ran, say, say_later, total

NOW = timedelta(0)


@pytest.fixture(autouse=True, params=["at commit", "outbox"])
def setting(
    request: pytest.FixtureRequest,
    sqlite_database: str,
    redis_server: RedisServer,
    settings: Any,
    django_db_blocker: Any,
) -> Iterator[None]:
    options = {"URL": redis_server.url, "DATABASE": sqlite_database, "OUTBOX": request.param == "outbox"}
    settings.TASKS = {
        "default": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "QUEUES": [], "OPTIONS": options},
        "database": {
            "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
            "QUEUES": [],
            "OPTIONS": {"DATABASE": sqlite_database},
        },
        "immediate": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []},
    }
    with django_db_blocker.unblock():
        redis_server.client().flushall()
        databases.emptied(sqlite_database)
        yield
        for alias in ("default", "database"):
            task_backends[alias].broker.close()


def waiting() -> int:
    return sum(sum(each.counts.values()) for each in task_backends["default"].broker.counts())


def test_a_workflow_runs_over_three_backends(sqlite_database: str) -> None:
    flow = TaskChain(
        "mixed",
        [
            step(say, 1),
            group(step(say_later, 2), step(say, 3).using(backend="database"), step(say, 4).using(backend="immediate")),
            step(total, previous_result),
        ],
    )
    run = flow.start()
    worked_off(run, "default", "database", "default")
    assert run.status is ChainStatus.COMPLETED
    assert run.return_value == 9
    is_sound(run)


def test_nothing_is_sent_before_the_commit(sqlite_database: str) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=sqlite_database):
        TaskChain("never", [step(say, 1)]).start()
        1 / 0
    assert waiting() == 0
    with transaction.atomic(using=sqlite_database):
        run = TaskChain("later", [step(say, 1)]).start()
        assert waiting() == 0
    assert waiting() == 1
    assert worked_off(run).status is ChainStatus.COMPLETED


def test_what_redis_did_not_take_is_sent_when_it_is_back(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*args: Any) -> None:
        raise QueueError("Redis is away")

    with monkeypatch.context() as patched:
        patched.setattr(type(task_backends["default"].broker), "enqueue", away)
        run = TaskChain("away", [step(say, 1), step(keep, previous_result)]).start()
    assert "Redis is away" in caplog.text
    assert waiting() == 0
    tend(NOW)
    assert worked_off(run).return_value == {"value": 1, "also": None}
    assert ran == [1]


def test_a_task_that_was_seen_and_is_gone_was_taken_away_and_one_never_seen_is_sent(sqlite_database: str) -> None:
    broker = task_backends["default"].broker
    run = group(step(say, 1), step(say, 2)).start()
    first, second = (each.job_id for each in run.steps())
    # As where whoever sent it died before saying so here.
    StepRow.objects.using(sqlite_database).filter(workflow_id=run.id).update(is_sent=False)
    broker.delete([first])
    tend(NOW)
    assert set(broker.get([first, second])) == {first, second}, "it might never have been sent"
    rows = StepRow.objects.using(sqlite_database).filter(workflow_id=run.id, is_gate=False).order_by("position")
    assert rows[1].is_sent
    broker.delete([second])
    StepRow.objects.using(sqlite_database).filter(workflow_id=run.id, look_at__isnull=False).update(
        look_at=run.created_at
    )
    tend(NOW)
    assert run.refresh().status is ChainStatus.FAILED
    assert "was deleted" in run.steps()[1].error


@pytest.mark.parametrize("what", ["has run", "was discarded"])
def test_a_step_that_left_its_queue_unseen_is_not_sent_again(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    broker = task_backends["default"].broker
    run = TaskChain("unseen", [step(say, 1), step(say, 2)]).start()
    if task_backends["default"].has_outbox:
        # It is on its way only, until a look has found it.
        tend(NOW)
    if what == "has run":

        def away(*args: Any) -> None:
            raise QueueError("The database is away.")

        with monkeypatch.context() as patched:
            patched.setattr(following, "record", away)
            worked_off(run)
        assert broker.prune(datetime.now(UTC) + timedelta(hours=1), 10) == 1
    else:
        assert broker.delete([run.steps()[0].job_id])
    StepRow.objects.using(sqlite_database).filter(look_at__isnull=False).update(look_at=run.created_at)
    tend(NOW)
    worked_off(run)
    assert ran == ([1] if what == "has run" else [])
    assert run.status is ChainStatus.FAILED
    assert "was deleted" in run.steps()[0].error
    # Somebody who looks into it decides.
    run.retry()
    assert worked_off(run).status is ChainStatus.COMPLETED


def test_a_step_that_its_store_refuses_keeps_no_other(sqlite_database: str) -> None:
    broker: Any = task_backends["default"].broker
    client = broker.connections.sender
    client.set(f"{broker.base}ready:broken", "somebody wrote here")
    run = group(step(say, 1), step(say, 2).using(queue_name="broken"), step(say, 3)).start()
    tend(NOW)
    assert worked_off(run).status is ChainStatus.RUNNING
    assert sorted(ran) == [1, 3]
    client.delete(f"{broker.base}ready:broken")
    StepRow.objects.using(sqlite_database).filter(look_at__isnull=False).update(look_at=run.created_at)
    start_outboxes_anew()
    tend(NOW)
    assert worked_off(run).status is ChainStatus.COMPLETED
    assert sorted(ran) == [1, 2, 3]


def start_outboxes_anew() -> None:
    """Have what is set aside tried, as another process does."""
    backend: Any = task_backends["default"]
    if backend.settings.outbox:
        backend._place.outbox._aside_at = 0.0
        backend.broker.tidy()


def test_a_shard_that_is_away_keeps_no_steps_of_others(sqlite_database: str, settings: Any) -> None:
    tasks = dict(settings.TASKS)
    options = {**tasks["default"]["OPTIONS"], "SHARDS": 4}
    settings.TASKS = {**tasks, "default": {**tasks["default"], "OPTIONS": options}}
    backend = task_backends["default"]
    with shard_away(backend, 3):
        run = group(step(say, number) for number in range(20)).start()
        start_outboxes_anew()
        broker: Any = backend.broker
        here = [each for each in run.steps() if broker.shard_of(each.job_id) is not broker.shards[3]]
        assert 0 < len(here) < 20
        # They are there, and a look at all steps finds them.
        tend(NOW)
        assert StepRow.objects.using(sqlite_database).filter(workflow_id=run.id, is_sent=True).count() == len(here)
    StepRow.objects.using(sqlite_database).filter(look_at__isnull=False).update(look_at=run.created_at)
    start_outboxes_anew()
    tend(NOW)
    assert worked_off(run).status is ChainStatus.COMPLETED
    assert sorted(ran) == list(range(20))


def test_a_store_that_is_away_keeps_the_workflows_on_no_other(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there = [group(step(say.using(backend="database"), number)).start() for number in range(2)]
    lost = group(step(say, 3)).start()
    steps = StepRow.objects.using(sqlite_database)
    # Those of the store that is away are looked at first.
    steps.filter(workflow_id=lost.id).update(look_at=lost.created_at - timedelta(hours=1))
    task_backends["database"].broker.delete([run.steps()[0].job_id for run in there])

    def away(*args: Any) -> None:
        raise QueueError("Redis is away")

    with monkeypatch.context() as patched:
        patched.setattr(type(task_backends["default"].broker), "get", away)
        tend(NOW)
    assert "1 steps of workflows on 'default' are looked after later: Redis is away" in caplog.text
    assert [run.refresh().status for run in there] == [ChainStatus.FAILED] * 2
    assert worked_off(lost).status is ChainStatus.COMPLETED
