"""Slots become tasks, each once: on every database, with the clock in the tests' hands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connections

from reinhardt_tasks import carriers
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.models import ScheduleRow, SlotRow
from reinhardt_tasks.schedules import At, CronSchedule, IntervalSchedule
from reinhardt_tasks.schedules.slots import due_at, slot_id
from reinhardt_tasks.scheduling import firing
from reinhardt_tasks.serialization import decode_call
from reinhardt_tasks.signals import task_enqueued
from tests.backends.working import work_off

from . import chores
from .simulated import DAY, HOUR, MINUTE, NOON, Simulation, every, jobs, slots_of_jobs

SECOND = timedelta(seconds=1)


def test_each_slot_is_one_task_that_knows_its_time(simulation: Simulation) -> None:
    simulation.declare("*/5 * * * *")
    assert simulation.fired() == []
    assert simulation.walk(HOUR, MINUTE) == every(5 * MINUTE, NOON + 5 * MINUTE, NOON + HOUR)
    counted = slots_of_jobs()
    assert set(counted.values()) == {1}
    assert {slot for _, slot in counted} == set(every(5 * MINUTE, NOON + 5 * MINUTE, NOON + HOUR))
    assert {job.id for job in jobs()} == {slot_id("one", slot) for _, slot in counted}
    assert {job.status for job in jobs()} == {TaskStatus.PENDING}


def test_the_task_is_told_its_slot(simulation: Simulation) -> None:
    simulation.declare("*/5 * * * *", task="tests.scheduling.chores.tell_slot", args=())
    simulation.fired()
    simulation.fired(5 * MINUTE)
    work_off(task_backends["default"])
    (job,) = jobs()
    assert task_backends["default"].get_result(job.id).return_value == (NOON + 5 * MINUTE).isoformat()


def test_a_task_that_no_schedule_has_sent_has_no_slot(simulation: Simulation) -> None:
    from .chores import tell_slot

    result = tell_slot.enqueue()
    work_off(task_backends["default"])
    result.refresh()
    assert result.return_value is None


@pytest.mark.parametrize("problem", [ValueError, SystemExit])
def test_a_receiver_that_fails_does_not_end_a_turn(simulation: Simulation, problem: type[BaseException]) -> None:
    class Nameless:
        def __call__(self, **facts: Any) -> None:
            raise problem("the receiver")

    receiver = Nameless()
    simulation.declare("* * * * *")
    simulation.fired()
    turns = simulation.scheduler.turns
    task_enqueued.connect(receiver)
    try:
        assert simulation.fired(MINUTE) == [NOON + MINUTE]
    finally:
        task_enqueued.disconnect(receiver)
    assert simulation.scheduler.turns == turns + 1


def test_what_travels_with_every_task_travels_with_these_too(simulation: Simulation) -> None:
    carrier = carriers.travels(chores.tenant)
    token = chores.tenant.set("acme")
    try:
        simulation.declare("* * * * *")
        simulation.fired()
        simulation.fired(MINUTE)
    finally:
        chores.tenant.reset(token)
        carriers.remove_carrier(carrier)
    (job,) = jobs()
    headers = {"tenant": "acme", "scheduled_for": (NOON + MINUTE).isoformat(), "schedule": "one"}
    assert decode_call(job.payload).headers == headers


def test_a_schedule_of_every_second_loses_none(simulation: Simulation) -> None:
    simulation.declare(IntervalSchedule(1))
    simulation.fired()
    fired: list[datetime] = []
    # Turns that come late, as on a busy machine.
    for pause in (0.9, 0.2, 1.0, 2.7, 0.1, 5.0, 1.1, 30.0, 0.4):
        fired += simulation.fired(timedelta(seconds=pause))
    assert fired == every(SECOND, NOON + SECOND, NOON + 41 * SECOND)


def test_a_days_turns_across_a_change_of_the_clock(simulation: Simulation) -> None:
    zone = ZoneInfo("Europe/Berlin")
    simulation.clock.now = datetime(2026, 10, 25, 0, 0, tzinfo=zone).astimezone(UTC)
    simulation.declare(CronSchedule("30 2 * * *", "Europe/Berlin"), "fixed")
    simulation.declare(CronSchedule("30 * * * *", "Europe/Berlin"), "hourly")
    simulation.fired()
    simulation.walk(6 * HOUR, 10 * MINUTE)
    slots = sorted(slots_of_jobs().elements())
    assert [slot.astimezone(zone).strftime("%H:%M%z") for name, slot in slots if name == "fixed"] == ["02:30+0200"]
    assert [slot.astimezone(zone).strftime("%H:%M%z") for name, slot in slots if name == "hourly"] == [
        "00:30+0200",
        "01:30+0200",
        "02:30+0200",
        "02:30+0100",
        "03:30+0100",
        "04:30+0100",
    ]


def test_two_schedulers_fire_a_slot_once(simulation: Simulation) -> None:
    simulation.declare("* * * * *")
    one, two = simulation.new_scheduler(), simulation.new_scheduler()
    one.turn()
    for _ in range(30):
        simulation.clock.pass_(MINUTE)
        one.turn()
        two.turn()
    assert set(slots_of_jobs().values()) == {1}
    assert len(jobs()) == 30


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_the_second_and_the_first_moments_of_a_schedule(simulation: Simulation) -> None:
    """What came due before it was there, before its start, or after its end is none of its slots."""
    simulation.declare("* * * * *", start=NOON + 10 * MINUTE, end=NOON + 12 * MINUTE)
    simulation.fired()
    assert simulation.walk(HOUR, MINUTE) == every(MINUTE, NOON + 10 * MINUTE, NOON + 12 * MINUTE)
    assert simulation.row().next_at is None


def test_one_moment_is_fired_once_also_when_it_was_missed(simulation: Simulation) -> None:
    simulation.declare(At(NOON + MINUTE), "soon")
    simulation.declare(At(NOON - MINUTE), "past")
    simulation.fired()
    assert simulation.fired(DAY) == [NOON + MINUTE]
    assert simulation.fired(DAY) == []
    assert simulation.row("soon").next_at is None


def test_queue_priority_and_arguments_are_the_schedules_own(simulation: Simulation) -> None:
    simulation.declare(
        "* * * * *", queue_name="slow", priority=30, args=("/dev/null",), kwargs={"line": "x"}, backend="default"
    )
    simulation.fired()
    simulation.fired(MINUTE)
    (job,) = jobs()
    assert (job.queue, job.priority) == ("slow", 30)
    assert job.payload.startswith('[["/dev/null"],{"line":"x"}')


def test_jitter_follows_from_the_slot_and_moves_it_later(simulation: Simulation) -> None:
    declaration = simulation.declare("0 * * * *", jitter=timedelta(minutes=20))
    simulation.fired()
    found = []
    for _ in range(8 * 60):
        found += [(slot, simulation.clock.now) for slot in simulation.fired(MINUTE)]
    assert [slot for slot, _ in found] == every(HOUR, NOON + HOUR, NOON + 8 * HOUR)[: len(found)]
    assert len(found) >= 7
    for slot, at in found:
        due = due_at("one", slot, declaration.jitter)
        assert slot <= due <= slot + declaration.jitter and due <= at < due + MINUTE
    assert len({at - slot for slot, at in found}) > 3


def test_receivers_hear_of_each_task(simulation: Simulation) -> None:
    heard: list[Any] = []

    def hear(sender: Any, task_result: Any, **kwargs: Any) -> None:
        heard.append(task_result)

    simulation.declare("* * * * *")
    simulation.fired()
    task_enqueued.connect(hear)
    try:
        simulation.fired(MINUTE)
    finally:
        task_enqueued.disconnect(hear)
    assert [result.id for result in heard] == [slot_id("one", NOON + MINUTE)]
    assert heard[0].task.module_path == "tests.tasks.note"


def test_many_schedules_are_seen_to_in_one_turn(simulation: Simulation) -> None:
    for number in range(3 * firing.BATCH // 2):
        simulation.declare("* * * * *", f"n{number}")
    simulation.fired()
    assert len(simulation.fired(MINUTE)) == 3 * firing.BATCH // 2
    assert len(simulation.fired(MINUTE)) == 3 * firing.BATCH // 2
    assert set(slots_of_jobs().values()) == {1}


def test_a_finished_and_deleted_task_is_not_fired_again_for_its_slot(simulation: Simulation) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    simulation.fired(MINUTE)
    broker: Any = task_backends["default"].broker
    assert broker.delete([job.id for job in jobs()])
    # As if a scheduler had been thrown back to where it was: what it knows is older than what happened.
    ScheduleRow.objects.using(simulation.database).update(next_slot=NOON + MINUTE, next_at=NOON + MINUTE)
    assert simulation.fired() == []
    assert jobs() == []


# Deaths


class Died(BaseException):
    """Nobody catches it: the process is gone."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def at(place: Any, name: str, after: bool) -> None:
        true = getattr(place, name)

        def die(*args: Any, **kwargs: Any) -> Any:
            if after:
                true(*args, **kwargs)
            raise Died

        monkeypatch.setattr(place, name, die)

    yield at
    monkeypatch.undo()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", ["_save", "_slot_row"])
def test_who_dies_within_the_transaction_leaves_nothing(
    simulation: Simulation, killed: Any, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    killed(firing, place, after)
    with pytest.raises(Died):
        simulation.fired(MINUTE)
    monkeypatch.undo()
    assert jobs() == []
    assert SlotRow.objects.using(simulation.database).count() == 0
    simulation.new_scheduler()
    assert simulation.fired() == [NOON + MINUTE]
    assert simulation.fired() == []
    assert len(jobs()) == 1


def test_an_outage_of_the_database_undoes_a_batch_and_nothing_is_lost(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    true = firing._save

    def cut_off(*args: Any) -> None:
        connections[simulation.database].close()
        raise QueueError("The server has gone away.")

    monkeypatch.setattr(firing, "_save", cut_off)
    with pytest.raises(QueueError):
        simulation.fired(MINUTE)
    monkeypatch.setattr(firing, "_save", true)
    assert simulation.fired(SECOND) == [NOON + MINUTE]
    assert len(jobs()) == 1


def test_the_loop_lives_on_whatever_happens_in_a_turn(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = simulation.scheduler
    told: list[Exception] = []

    def fail() -> None:
        if len(told) == 3:
            scheduler.shutdown()
        raise (RuntimeError, QueueError, ZeroDivisionError, KeyError)[len(told)]("It happened.")

    def failed(exc: Exception) -> float:
        told.append(exc)
        return 0.0

    monkeypatch.setattr(scheduler, "turn", fail)
    monkeypatch.setattr(scheduler, "_failed", failed)
    scheduler.run()
    assert [type(exc).__name__ for exc in told] == ["RuntimeError", "QueueError", "ZeroDivisionError", "KeyError"]


def test_pauses_grow_while_the_database_is_away_and_are_bounded(simulation: Simulation) -> None:
    pauses = [simulation.scheduler._failed(QueueError("It is away.")) for _ in range(20)]
    assert pauses[0] < 0.3 < pauses[4] < pauses[9] <= 10 and max(pauses) <= 10


# What is broken


def test_a_broken_schedule_is_left_to_others_for_a_minute_then_switched_off_and_the_others_live_on(
    simulation: Simulation,
) -> None:
    simulation.declare("* * * * *", "well")
    simulation.declare("* * * * *", "gone", task="tests.tasks.no_such_task")
    simulation.declare("* * * * *", "unfit", args=(1, 2, 3, 4))
    simulation.declare("* * * * *", "lost", backend="no_such_backend")
    simulation.declare("* * * * *", "bad")
    simulation.fired()
    table = ScheduleRow.objects.using(simulation.database)
    table.filter(name="bad").update(schedule='{"kind": "cron", "expression": "61 * * * *"}')
    turn = simulation.turn(MINUTE)
    assert [each.schedule for each in turn.fired] == ["well"]
    assert set(turn.errors) == {"gone", "unfit", "lost", "bad"}
    assert table.get(name="gone").enabled
    assert "did you mean" not in table.get(name="gone").last_error
    simulation.turn(30 * SECOND)
    turn = simulation.turn(30 * SECOND)
    assert [each.schedule for each in turn.fired] == ["well"]
    for name, words in {
        "gone": "No task is registered as 'tests.tasks.no_such_task'",
        "unfit": "cannot be called with these arguments",
        "lost": "no_such_backend",
        "bad": "the minute field '61'",
    }.items():
        row = table.get(name=name)
        assert words in row.last_error
        assert not row.enabled and row.next_at is None and row.failed_at == NOON + 2 * MINUTE
    assert [each.schedule for each in simulation.turn(MINUTE).fired] == ["well"]


def test_a_newer_scheduler_fires_what_an_older_one_does_not_know(simulation: Simulation) -> None:
    simulation.declare("* * * * *", task="tests.tasks.no_such_task")
    simulation.fired()
    old = simulation.scheduler
    simulation.clock.pass_(MINUTE)
    assert old.turn().fired == []
    ScheduleRow.objects.using(simulation.database).update(task="tests.tasks.note")
    new = simulation.new_scheduler()
    new._is_synchronised = True
    assert [each.slot for each in new.turn().fired] == [NOON + MINUTE]
    assert simulation.row().last_error is None


def test_what_the_database_refuses_is_found_and_switched_off(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        simulation.declare("* * * * *", name)
    simulation.fired()
    true = firing.write

    def refuse(cursor: Any, session: Any, now: Any, rows: Any, firings: Any) -> None:
        if "b" in {row.name for row in rows}:
            raise QueueError("It does not like b.")
        true(cursor, session, now, rows, firings)

    monkeypatch.setattr(firing, "write", refuse)
    simulation.clock.pass_(MINUTE)
    scheduler = simulation.scheduler
    for _ in range(3):
        with pytest.raises(QueueError) as caught:
            scheduler.turn()
        scheduler._failed(caught.value)
    assert sorted(each.schedule for each in scheduler.turn().fired) == ["a", "c"]
    assert not simulation.row("b").enabled
    assert simulation.row("b").last_error == "It does not like b."
