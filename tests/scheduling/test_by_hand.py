"""Runs by hand are kept among the slots of their schedule, and are in the way of none."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import pytest

from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.schedules import CronSchedule, IntervalSchedule
from reinhardt_tasks.scheduling import by_hand, delete, run_now, switch
from reinhardt_tasks.scheduling.addresses import address_of
from reinhardt_tasks.scheduling.people import find, last_slots
from reinhardt_tasks.scheduling.rows import declaration_of_row
from reinhardt_tasks.tasks import task

from .simulated import DAY, HOUR, MINUTE, NOON, Simulation, jobs, slots_of_jobs


@task(unique=True)
def tidy() -> None:
    """One at a time."""


def run_at(simulation: Simulation, now: datetime, name: str = "one") -> str:
    """Run a schedule by hand at a moment of the simulated clock."""
    row = simulation.row(name)
    declaration = declaration_of_row(row)
    return by_hand.run_by_hand(simulation.scheduler.session, row, declaration, address_of(declaration), now)


def told(simulation: Simulation, name: str = "one") -> list[tuple[str, bool]]:
    """Return the ids of a schedule's runs, newest first, and which were by hand."""
    row = simulation.row(name)
    return [(str(slot.pk), by_hand.is_by_hand(row, slot)) for slot in last_slots(row, 10, database=simulation.database)]


def test_a_run_by_hand_is_kept_with_the_others_and_told_from_them(simulation: Simulation) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    (firing,) = simulation.turn(MINUTE).fired
    id_ = run_now("one", database=simulation.database)
    assert told(simulation) == [(id_, True), (firing.job.id, False)]
    row = simulation.row()
    assert (row.fired, str(row.last_task)) == (1, firing.job.id)


@pytest.mark.parametrize("schedule", [CronSchedule("* * * * *"), IntervalSchedule(MINUTE, NOON)])
def test_one_at_the_very_moment_of_a_slot_leaves_that_its_place(simulation: Simulation, schedule: Any) -> None:
    simulation.declare(schedule)
    simulation.fired()
    slot = simulation.row().next_slot
    id_ = run_at(simulation, slot)
    (firing,) = simulation.turn(slot - simulation.clock.now).fired
    assert firing.slot == slot and simulation.scheduler._failures == 0
    assert sorted(told(simulation)) == sorted([(id_, True), (firing.job.id, False)])
    assert len(jobs()) == 2 and set(slots_of_jobs().values()) == {1}


def test_a_unique_task_that_is_there_already_is_kept_once(
    simulation: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    simulation.declare("0 3 * * *", task=tidy.module_path, args=())
    simulation.fired()
    first = run_at(simulation, NOON)
    assert run_at(simulation, NOON + HOUR) == first
    assert told(simulation) == [(first, True)] and "is not noted" not in caplog.text


def test_a_schedule_that_fails_to_tell_its_times_is_run_by_hand_all_the_same(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation.declare("0 3 * * *")
    simulation.fired()

    def fails(self: Any, moment: datetime) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(CronSchedule, "next_after", fails)
    id_ = run_at(simulation, NOON)
    assert told(simulation) == [(id_, True)]


def test_what_cannot_be_noted_is_enqueued_and_not_refused(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    simulation.declare("0 3 * * *")
    simulation.fired()

    def fails(*args: Any, **kwargs: Any) -> None:
        raise QueueError("The disk is full.")

    monkeypatch.setattr(simulation.scheduler.session, "run", fails)
    with caplog.at_level(logging.WARNING, "reinhardt_tasks"):
        id_ = run_at(simulation, NOON)
    assert [job.id for job in jobs()] == [id_] and f"is not noted: id={id_}: The disk is full." in caplog.text


def test_they_are_cleared_away_with_the_slots(simulation: Simulation) -> None:
    simulation.declare("0 0 1 1 *")
    simulation.fired()
    run_at(simulation, NOON)
    simulation.fired(6 * DAY)
    assert len(told(simulation)) == 1
    simulation.fired(2 * DAY)
    assert told(simulation) == []


def test_they_go_with_their_schedule(simulation: Simulation) -> None:
    simulation.declare("0 3 * * *")
    simulation.fired()
    run_now("one", database=simulation.database)
    switch("one", False, database=simulation.database)
    simulation.registry.unregister("one")
    simulation.new_scheduler().run_once()
    delete("one", database=simulation.database)
    with pytest.raises(ValueError, match="There is no schedule 'one'"):
        find("one", database=simulation.database)
