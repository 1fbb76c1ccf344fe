"""Tasks that cannot be part of a slot's transaction: on Redis, in another database, or kept by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Succeeded
from reinhardt_tasks.models import SlotRow
from reinhardt_tasks.schedules.slots import slot_key
from reinhardt_tasks.scheduling import sending
from tests import databases
from tests.backends.redis_doors import Door, door, redis_of, shard_away

from . import chores
from .simulated import DAY, HOUR, MINUTE, NOON, Simulation, jobs, slots_of_jobs

__all__ = ["door"]

SECOND = timedelta(seconds=1)
WORKER = WorkerInfo(id="w")


@pytest.fixture
def simulation(sqlite_database: str, django_db_blocker: Any) -> Iterator[Simulation]:
    with django_db_blocker.unblock():
        databases.emptied(sqlite_database)
        yield Simulation(sqlite_database)


@pytest.fixture(params=["redis", "postgres"])
def elsewhere(request: pytest.FixtureRequest, simulation: Simulation, settings: Any) -> Iterator[Any]:
    """The broker of the alias `default`, which is not in the database that keeps the schedules."""
    if request.param == "redis":
        request.getfixturevalue("door")(RESULT_TTL=HOUR)
    else:
        alias = request.getfixturevalue("postgres_database")
        databases.emptied(alias)
        backend = "reinhardt_tasks.backends.DatabaseBackend"
        settings.TASKS = {
            "default": {"BACKEND": backend, "QUEUES": [], "OPTIONS": {"DATABASE": alias, "RESULT_TTL": HOUR}}
        }
    broker = task_backends["default"].broker
    yield broker
    broker.close()


def states(simulation: Simulation) -> list[str]:
    return list(SlotRow.objects.using(simulation.database).order_by("due_at").values_list("state", flat=True))


class Died(BaseException):
    """The process is gone."""


def dies(*args: Any, **kwargs: Any) -> Any:
    raise Died


def run_off(broker: Any) -> int:
    """Run all that is ready to its end."""
    claims = broker.claim(None, 100, WORKER)
    broker.settle([Succeeded(claim=claim) for claim in claims])
    return len(claims)


def test_each_slot_is_one_task(simulation: Simulation, elsewhere: Any) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    simulation.walk(5 * MINUTE, MINUTE)
    assert len(jobs()) == 5 and set(slots_of_jobs().values()) == {1}
    assert states(simulation) == [SlotRow.SENT] * 5


def test_who_dies_before_sending_has_it_sent_by_the_next(
    simulation: Simulation, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    with monkeypatch.context() as patched:
        patched.setattr(elsewhere, "enqueue", dies)
        with pytest.raises(Died):
            simulation.fired(MINUTE)
    assert (jobs(), states(simulation)) == ([], [SlotRow.SENDING])
    simulation.new_scheduler()
    assert simulation.fired(sending.RESEND_AFTER) == []
    assert list(slots_of_jobs().items()) == [(("one", NOON + MINUTE), 1)]
    assert states(simulation) == [SlotRow.SENT]


@pytest.mark.parametrize("has_run", [False, True])
def test_who_dies_between_sending_and_noting_it_has_not_sent_twice(
    simulation: Simulation, elsewhere: Any, monkeypatch: pytest.MonkeyPatch, has_run: bool
) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    with monkeypatch.context() as patched:
        patched.setattr(sending.Sender, "_mark", dies)
        with pytest.raises(Died):
            simulation.fired(MINUTE)
    assert states(simulation) == [SlotRow.SENDING]
    assert not has_run or run_off(elsewhere) == 1
    simulation.new_scheduler()
    simulation.fired(sending.RESEND_AFTER)
    assert list(slots_of_jobs().values()) == [1]
    assert states(simulation) == [SlotRow.SENT]
    assert run_off(elsewhere) == (0 if has_run else 1)


def test_what_may_have_run_and_been_forgotten_is_not_sent_again_and_is_seen(
    simulation: Simulation, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation.declare("0 0 1 1 *", catch_up="skip")
    simulation.declare("* * * * *", "two", end=NOON + MINUTE)
    simulation.fired()
    with monkeypatch.context() as patched:
        patched.setattr(sending.Sender, "_mark", dies)
        with pytest.raises(Died):
            simulation.fired(MINUTE)
    assert run_off(elsewhere) == 1
    elsewhere.delete([job.id for job in jobs()])
    simulation.new_scheduler()
    simulation.fired(DAY)
    assert (jobs(), states(simulation)) == ([], [SlotRow.UNSURE])
    assert "so long ago that it may have run" in simulation.row("two").last_error
    simulation.fired(DAY)
    assert jobs() == []


def test_a_store_that_is_away_is_ridden_out(
    simulation: Simulation, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation.declare("* * * * *")
    simulation.fired()

    def away(*args: Any) -> Any:
        raise QueueError("It does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(elsewhere, "enqueue", away)
        patched.setattr(sending, "LONGEST_PAUSE", 0.0)
        assert len(simulation.walk(5 * MINUTE, MINUTE)) == 5
    assert states(simulation) == [SlotRow.SENDING] * 5
    simulation.scheduler._sender._retry_at.clear()
    simulation.fired(sending.RESEND_AFTER)
    assert len(jobs()) == 5 and set(slots_of_jobs().values()) == {1}
    assert states(simulation) == [SlotRow.SENT] * 5


def test_a_slot_that_its_store_refuses_keeps_no_other(
    simulation: Simulation, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BATCH", 3)
    backend = door()
    shard = redis_of(backend)
    client = shard.connections.sender
    client.set(f"{shard.base}ready:broken", "somebody wrote here")
    simulation.declare("* * * * *", "broken", queue_name="broken")
    simulation.declare("* * * * *", "one")
    simulation.fired()
    simulation.walk(5 * MINUTE, MINUTE)
    assert {schedule for schedule, _ in slots_of_jobs()} == {"one"} and len(jobs()) == 5
    assert sorted(states(simulation)) == [SlotRow.SENDING] * 5 + [SlotRow.SENT] * 5
    # One that its scheduler has left behind comes after them.
    with monkeypatch.context() as patched:
        patched.setattr(sending.Sender, "send", lambda *args: None)
        simulation.fired(MINUTE)
    simulation.fired(sending.RESEND_AFTER)
    simulation.fired()
    assert len(jobs()) == 6
    client.delete(f"{shard.base}ready:broken")
    simulation.new_scheduler()
    for _ in range(3):
        simulation.fired(sending.RESEND_AFTER)
    assert set(states(simulation)) == {SlotRow.SENT}
    assert len(jobs()) == 12 and set(slots_of_jobs().values()) == {1}


def test_a_shard_that_is_away_stops_its_own_slots_only(simulation: Simulation, door: Door) -> None:
    backend = door(SHARDS=4)
    for number in range(8):
        simulation.declare("* * * * *", f"schedule {number}")
    simulation.fired()
    with shard_away(backend, 3):
        simulation.walk(3 * MINUTE, MINUTE)
    broker: Any = backend.broker
    keys = [slot_key(row.schedule.name, row.due_at) for row in slots(simulation, SlotRow.SENDING)]
    ids = [str(row.pk) for row in slots(simulation, SlotRow.SENDING)]
    assert 0 < len(ids) < 24
    assert all(
        broker.shards[3] in (broker.shard_of(key), broker.shard_of(id_)) for key, id_ in zip(keys, ids, strict=True)
    )
    simulation.new_scheduler()
    simulation.fired(sending.RESEND_AFTER)
    assert set(states(simulation)) == {SlotRow.SENT}
    assert len(jobs()) == 24 and set(slots_of_jobs().values()) == {1}


def slots(simulation: Simulation, state: str) -> list[SlotRow]:
    return list(SlotRow.objects.using(simulation.database).filter(state=state).select_related("schedule"))


def test_a_slot_on_its_way_counts_as_going(
    simulation: Simulation, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation.declare("* * * * *", overlap="skip")
    simulation.fired()

    def away(*args: Any) -> Any:
        raise QueueError("It takes nothing.")

    with monkeypatch.context() as patched:
        patched.setattr(elsewhere, "enqueue", away)
        simulation.walk(3 * MINUTE, MINUTE)
    assert simulation.row().skipped == 2


def test_what_waits_goes_to_the_other_store_too(simulation: Simulation, elsewhere: Any) -> None:
    simulation.declare("* * * * *", overlap="queue")
    simulation.fired()
    simulation.walk(3 * MINUTE, MINUTE)
    for number in range(1, 4):
        assert len(jobs()) == number
        assert run_off(elsewhere) == 1
        simulation.fired()
    assert set(slots_of_jobs().values()) == {1}
    assert states(simulation) == [SlotRow.SENT] * 3


def test_a_backend_that_is_gone_is_told_after_a_minute(
    simulation: Simulation, elsewhere: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    simulation.declare("0 13 1 6 *", backend="default")
    simulation.fired()
    with monkeypatch.context() as patched:
        patched.setattr(elsewhere, "enqueue", dies)
        with pytest.raises(Died):
            simulation.fired(HOUR)
    dummy = {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "QUEUES": []}
    settings.TASKS = {"other": dummy}
    simulation.new_scheduler()._is_synchronised = True
    simulation.fired(30 * SECOND)
    assert states(simulation) == [SlotRow.SENDING]
    simulation.fired(MINUTE)
    assert states(simulation) == [SlotRow.UNSURE]
    assert "default" in simulation.row().last_error
    settings.TASKS = {"default": dummy}


@pytest.mark.parametrize("kind", ["ImmediateBackend", "DummyBackend"])
def test_a_backend_that_keeps_nothing_is_told_once(simulation: Simulation, settings: Any, kind: str) -> None:
    settings.TASKS = {"default": {"BACKEND": f"reinhardt_tasks.backends.{kind}", "QUEUES": []}}
    chores.counted.clear()
    simulation.declare("* * * * *", task=chores.count.module_path, args=(3,))
    simulation.fired()
    simulation.walk(2 * MINUTE, MINUTE)
    assert states(simulation) == [SlotRow.SENT] * 2
    if kind == "DummyBackend":
        assert [result.args for result in task_backends["default"].results] == [[3], [3]]
    else:
        assert chores.counted == [3, 3]


def test_a_damaged_slot_does_not_stop_the_others(simulation: Simulation, elsewhere: Any) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    row = simulation.row()
    SlotRow.objects.using(simulation.database).create(
        id="019f0000-0000-7000-8000-000000000000",
        schedule_id=row.pk,
        due_at=NOON - DAY,
        state=SlotRow.SENDING,
        alias="default",
        pending_at=NOON - DAY,
        job="{",
    )
    assert simulation.fired(MINUTE) == [NOON + MINUTE]
    assert states(simulation) == [SlotRow.UNSURE, SlotRow.SENT]
    connections[simulation.database].close()
