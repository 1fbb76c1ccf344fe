"""What becomes of slots that nobody fired in their time: outages, clocks that jump, and rules for each."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks.schedules import CronSchedule, Declaration, IntervalSchedule, Schedule
from reinhardt_tasks.scheduling import firing, people, scheduler
from reinhardt_tasks.scheduling.planning import COUNTED, plan, slot_after

from .simulated import DAY, HOUR, MINUTE, NOON, Simulation, every, jobs, slots_of_jobs

SECOND = timedelta(seconds=1)
ONE_DATABASE = pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)


@ONE_DATABASE
@pytest.mark.parametrize("is_restarted", [True, False], ids=["it was not there", "it was asleep"])
@pytest.mark.parametrize("schedule", ["*/5 * * * *", IntervalSchedule(1), IntervalSchedule(300)], ids=str)
def test_after_hours_of_outage_latest_runs_once(simulation: Simulation, schedule: Any, is_restarted: bool) -> None:
    simulation.declare(schedule, catch_up="latest")
    simulation.fired()
    simulation.fired(5 * MINUTE)
    before = len(jobs())
    if is_restarted:
        simulation.new_scheduler()
    assert simulation.fired(3 * HOUR + 2 * MINUTE) == [
        NOON + 3 * HOUR + (7 * MINUTE if schedule == IntervalSchedule(1) else 5 * MINUTE)
    ]
    assert len(jobs()) == before + 1
    assert simulation.row().missed >= min(COUNTED, 35)


@ONE_DATABASE
def test_skip_runs_nothing_that_was_missed(simulation: Simulation) -> None:
    simulation.declare("*/5 * * * *", catch_up="skip")
    simulation.fired()
    simulation.new_scheduler()
    assert simulation.fired(3 * HOUR + 2 * MINUTE) == []
    assert simulation.row().missed == 36
    assert simulation.fired(3 * MINUTE) == [NOON + 3 * HOUR + 5 * MINUTE]


@ONE_DATABASE
def test_skip_forgives_less_than_a_minute(simulation: Simulation) -> None:
    """A scheduler that is restarted while a slot passes has not missed it."""
    simulation.declare("*/5 * * * *", catch_up="skip")
    simulation.fired()
    simulation.new_scheduler()
    assert simulation.fired(10 * MINUTE + 59 * SECOND) == [NOON + 10 * MINUTE]
    simulation.new_scheduler()
    assert simulation.fired(5 * MINUTE + SECOND) == []


@ONE_DATABASE
def test_all_runs_every_one_oldest_first_and_bounded_per_turn(simulation: Simulation) -> None:
    simulation.declare("* * * * *", catch_up="all")
    simulation.declare("* * * * *", "other")
    simulation.fired()
    simulation.new_scheduler(max_catchup=50)
    simulation.clock.pass_(3 * HOUR)
    found: list[datetime] = []
    turns = []
    while fired := [each for each in simulation.turn(timedelta(milliseconds=5)).fired if each.schedule == "one"]:
        turns.append(len(fired))
        found += [each.slot for each in fired]
    assert turns == [50, 50, 50, 30]
    assert found == every(MINUTE, NOON + MINUTE, NOON + 3 * HOUR)
    assert slots_of_jobs()[("other", NOON + 3 * HOUR)] == 1


@ONE_DATABASE
def test_what_catches_up_does_not_keep_others_waiting(simulation: Simulation) -> None:
    simulation.declare("* * * * *", catch_up="all")
    simulation.declare("* * * * *", "other")
    simulation.fired()
    simulation.new_scheduler(max_catchup=10)
    simulation.turn(DAY)
    for _ in range(5):
        turn = simulation.turn(MINUTE)
        assert [each.slot for each in turn.fired if each.schedule == "other"] == [simulation.clock.now]
    assert len(slots_of_jobs()) == 6 * 10 + 6


@ONE_DATABASE
def test_so_it_is_when_there_are_more_of_them_than_one_batch_holds(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing, "BATCH", 2)
    monkeypatch.setattr(scheduler, "BATCH", 2)
    for name in ("one", "two", "three"):
        simulation.declare("* * * * *", name, catch_up="all")
    simulation.fired()
    simulation.new_scheduler(max_catchup=10)
    for _ in range(3):
        found = Counter(each.schedule for each in simulation.turn(HOUR).fired)
        assert found == {"one": 10, "two": 10, "three": 10}


@pytest.mark.parametrize(
    ("schedule", "step", "days"),
    [
        (IntervalSchedule(60), MINUTE, 365),
        (CronSchedule("* * * * *", "UTC"), MINUTE, 7),
        (CronSchedule("*/5 * * * *", "UTC"), 5 * MINUTE, 30),
    ],
    ids=str,
)
def test_every_slot_of_an_outage_is_caught_up_however_long_it_was(
    schedule: Schedule, step: timedelta, days: int
) -> None:
    """By the pure function, which each turn asks for its share: half a million rows would say no more."""
    counting = Counting(schedule)
    declaration = Declaration(name="one", task="t", schedule=counting, catch_up="all")
    slot, now, count = NOON + step, NOON + days * DAY, 0
    while slot <= now:
        counting.asked = 0
        todo = plan(declaration, slot, NOON, now, None, 100)
        assert counting.asked == len(todo.slots), "a turn goes through its own share, and not through what comes after"
        assert todo.slots == tuple(every(step, slot, slot + (len(todo.slots) - 1) * step))
        assert len(todo.slots) == 100 or not todo.is_more
        count += len(todo.slots)
        assert todo.next_slot is not None and todo.next_slot == todo.slots[-1] + step
        slot = todo.next_slot
    assert count == days * DAY / step


def test_a_turn_costs_the_same_after_a_year_as_after_an_afternoon(simulation: Simulation) -> None:
    def cost(outage: timedelta) -> list[int]:
        simulation.new_scheduler().synchronise()
        simulation.clock.pass_(outage)
        counts = []
        for _ in range(3):
            with CaptureQueriesContext(connections[simulation.database]) as queries:
                turn = simulation.turn(timedelta(milliseconds=5))
            assert len(turn.fired) == 100
            counts.append(len(queries))
        return counts

    simulation.declare("* * * * *", catch_up="all")
    simulation.fired()
    afternoon = cost(6 * HOUR)
    assert cost(365 * DAY)[1:] == afternoon[1:]
    assert max(afternoon) < 30
    row = simulation.row()
    assert (row.fired, row.missed, row.next_slot) == (600, 0, NOON + 601 * MINUTE)


@ONE_DATABASE
def test_what_is_not_wanted_of_a_year_any_more_is_switched_off_and_on(simulation: Simulation) -> None:
    simulation.declare("* * * * *", catch_up="all")
    simulation.fired()
    simulation.new_scheduler()
    simulation.fired(365 * DAY)
    # They ask the database's clock, which is not moved here: what counts is that nothing before it comes.
    people.switch("one", False, database=simulation.database)
    people.switch("one", True, database=simulation.database)
    simulation.new_scheduler()
    row = simulation.row()
    assert row.fired == 100
    assert row.next_slot is not None and row.next_slot > row.since_at > NOON + 101 * MINUTE


class Counting:
    """A schedule that tells how often it was asked."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.asked = 0

    def next_after(self, moment: datetime) -> datetime | None:
        self.asked += 1
        return self.schedule.next_after(moment)


@pytest.mark.parametrize(
    "schedule",
    [
        CronSchedule("* * * * *", "UTC"),
        CronSchedule("0-59 2 1 1 *", "UTC"),
        CronSchedule("* * * * * *", "UTC", seconds=True),
        CronSchedule("* 2 * 1 *", "UTC"),
        IntervalSchedule(7),
        CronSchedule("0 0 29 2 *", "UTC"),
    ],
    ids=lambda schedule: getattr(schedule, "expression", str(schedule)),
)
@pytest.mark.parametrize("jitter", [0, 90])
def test_the_latest_of_a_year_is_found_without_going_through_it(schedule: Schedule, jitter: int) -> None:
    counting = Counting(schedule)
    declaration = Declaration(name="one", task="t", schedule=counting, jitter=timedelta(seconds=jitter))
    slot = slot_after(declaration, NOON)
    assert slot is not None
    now = slot + 365 * DAY + timedelta(seconds=13)
    counting.asked = 0
    todo = plan(declaration, slot, NOON, now, None, 100)
    assert counting.asked < 200 + 2 * COUNTED
    (newest,) = todo.slots
    following = schedule.next_after(newest)
    assert todo.next_slot == following
    if not jitter:
        assert newest <= now and following is not None and following > now


@ONE_DATABASE
def test_a_clock_that_is_set_back_fires_nothing_twice_and_one_that_runs_again_goes_on(simulation: Simulation) -> None:
    simulation.declare("* * * * *")
    simulation.fired()
    simulation.walk(10 * MINUTE, MINUTE)
    simulation.clock.pass_(-5 * MINUTE)
    simulation.new_scheduler()
    assert simulation.walk(5 * MINUTE, MINUTE) == []
    assert simulation.walk(3 * MINUTE, MINUTE) == every(MINUTE, NOON + 11 * MINUTE, NOON + 13 * MINUTE)
    assert set(slots_of_jobs().values()) == {1}


@ONE_DATABASE
def test_what_begins_anew_while_the_clock_is_set_back_does_not_come_again(simulation: Simulation) -> None:
    declaration = simulation.declare("* * * * *")
    simulation.fired()
    simulation.walk(10 * MINUTE, MINUTE)
    simulation.registry.clear()
    simulation.new_scheduler().synchronise()
    simulation.clock.pass_(-5 * MINUTE)
    simulation.registry.register(declaration)
    simulation.new_scheduler()
    simulation.fired()
    assert simulation.row().next_slot == NOON + 11 * MINUTE
    assert simulation.walk(7 * MINUTE, MINUTE) == every(MINUTE, NOON + 11 * MINUTE, NOON + 12 * MINUTE)


@ONE_DATABASE
def test_a_clock_that_jumps_ahead_is_an_outage(simulation: Simulation) -> None:
    simulation.declare("* * * * *", catch_up="latest")
    simulation.fired()
    simulation.fired(MINUTE)
    assert simulation.fired(DAY) == [NOON + DAY + MINUTE]


@ONE_DATABASE
def test_what_another_scheduler_left_behind_a_moment_ago_is_on_time(simulation: Simulation) -> None:
    """Its row was locked by one that died: the next look of this one, a second later, fires all of it."""
    simulation.declare(IntervalSchedule(1))
    simulation.fired()
    simulation.fired(SECOND)
    simulation.scheduler._left = {simulation.row().pk: NOON + timedelta(seconds=2.5)}
    assert simulation.fired(SECOND) == []
    assert simulation.fired(SECOND) == every(SECOND, NOON + 2 * SECOND, NOON + 3 * SECOND)


@ONE_DATABASE
def test_slots_are_cleared_away_after_a_week_but_not_what_waits(simulation: Simulation) -> None:
    from reinhardt_tasks.models import SlotRow

    simulation.declare("0 * * * *", catch_up="all")
    simulation.fired()
    simulation.fired(10 * DAY)
    while simulation.fired(MINUTE):
        pass
    slots = SlotRow.objects.using(simulation.database)
    assert slots.count() < 8 * 24
    first = slots.order_by("due_at")[0]
    assert first.due_at >= simulation.clock.now - 7 * DAY - MINUTE
    slots.filter(pk=first.pk).update(state=SlotRow.WAITING)
    simulation.fired(30 * DAY)
    simulation.fired(2 * MINUTE)
    assert slots.filter(pk=first.pk).exists()
