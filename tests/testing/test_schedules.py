"""Schedules follow the time that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import TestCase

from reinhardt_tasks import CronSchedule, IntervalSchedule, InvalidSchedule, TaskContext, scheduled, task
from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.schedules import declared
from reinhardt_tasks.scheduling import create, run_now
from reinhardt_tasks.testing import CapturedTasks, CapturedTasksMixin

from .chores import noted


@task(takes_context=True)
def tell_slot(context: TaskContext) -> None:
    noted.append(context.scheduled_for)


@task
def tell_day(day: date) -> None:
    noted.append(day)


@pytest.fixture
def schedules() -> Iterator[None]:
    scheduled(CronSchedule("0 3 * * *", tz="Europe/Berlin"), name="nightly")(tell_slot)
    scheduled(IntervalSchedule(timedelta(hours=6)), name="typed", args=[date(2026, 1, 1)])(tell_day)
    yield
    declared.unregister("nightly")
    declared.unregister("typed")


@pytest.mark.django_db
def test_each_slot_on_the_way_is_a_task(reinhardt_tasks: CapturedTasks, schedules: None) -> None:
    begun = reinhardt_tasks.now
    reinhardt_tasks.travel(timedelta(days=3), schedules=True)
    reinhardt_tasks.assert_enqueued(tell_slot, count=3)
    reinhardt_tasks.assert_enqueued(tell_day, args=[date(2026, 1, 1)], count=12)
    reinhardt_tasks.drain()
    slots = [slot for slot in noted if isinstance(slot, datetime)]
    assert [slot.astimezone(UTC).hour in (1, 2) for slot in slots] == [True] * 3
    assert all(begun < slot <= reinhardt_tasks.now for slot in slots)
    assert noted.count(date(2026, 1, 1)) == 12


@pytest.mark.django_db
def test_without_being_asked_they_do_nothing(reinhardt_tasks: CapturedTasks, schedules: None) -> None:
    reinhardt_tasks.travel(timedelta(days=3))
    reinhardt_tasks.assert_nothing_enqueued()


@pytest.mark.django_db
def test_on_redis_they_go_the_same_way(reinhardt_tasks: CapturedTasks, schedules: None, settings: Any) -> None:
    backend = {
        "BACKEND": "reinhardt_tasks.backends.RedisBackend",
        "QUEUES": [],
        "OPTIONS": {"URL": "redis://127.0.0.1:1"},
    }
    settings.TASKS = {"default": backend}
    reinhardt_tasks.travel(timedelta(days=1), schedules=True)
    reinhardt_tasks.assert_enqueued(tell_slot, count=1)


@pytest.mark.django_db
def test_a_backend_that_keeps_no_tasks_is_given_the_types_too(reinhardt_tasks: CapturedTasks) -> None:
    scheduled(IntervalSchedule(timedelta(hours=6)), name="typed", args=[date(2026, 1, 1)], backend="immediate")(
        tell_day
    )
    try:
        reinhardt_tasks.travel(timedelta(hours=6), schedules=True)
        run_now("typed")
    finally:
        declared.unregister("typed")
    assert noted == [date(2026, 1, 1)] * 2


@pytest.mark.django_db(transaction=True)
def test_coroutines_travel_too(reinhardt_tasks: CapturedTasks, schedules: None) -> None:
    asyncio.run(reinhardt_tasks.atravel(timedelta(days=1), schedules=True))
    reinhardt_tasks.assert_enqueued(tell_slot, count=1)


@pytest.mark.django_db
def test_a_journey_with_too_many_stops_is_ended(
    reinhardt_tasks: CapturedTasks, schedules: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reinhardt_tasks.testing.schedules.STOPS", 5)
    with pytest.raises(AssertionError, match="go less far"):
        reinhardt_tasks.travel(timedelta(days=300), schedules=True)


@pytest.mark.django_db
def test_a_schedule_that_cannot_be_fired_ends_the_journey(reinhardt_tasks: CapturedTasks) -> None:
    create("lost", tell_slot.module_path, IntervalSchedule(timedelta(hours=1)))
    ScheduleRow.objects.filter(name="lost").update(task="shop.tasks.gone")
    with pytest.raises(AssertionError, match=r"cannot be fired: lost: .*shop\.tasks\.gone"):
        reinhardt_tasks.travel(timedelta(days=1), schedules=True)


@pytest.mark.django_db
def test_slots_that_a_jitter_brings_together_are_not_missed(reinhardt_tasks: CapturedTasks) -> None:
    create("spread", tell_slot.module_path, IntervalSchedule(timedelta(hours=1)), jitter=timedelta(hours=5))
    reinhardt_tasks.travel(timedelta(days=2), schedules=True)
    row = ScheduleRow.objects.get(name="spread")
    assert row.missed == 0
    reinhardt_tasks.assert_enqueued(tell_slot, count=row.fired)
    assert row.fired > 40


@pytest.mark.usefixtures("schedules")
class TestInTestCase(CapturedTasksMixin, TestCase):
    def travel(self) -> None:
        self.tasks.travel(timedelta(days=1), schedules=True)
        self.tasks.assert_enqueued(tell_slot, count=1)

    def test_one(self) -> None:
        self.travel()

    def test_another_that_nothing_of_it_reaches(self) -> None:
        self.travel()


def test_arguments_of_a_schedule_are_of_the_types_that_the_task_asks_for() -> None:
    with pytest.raises(InvalidSchedule, match="is a str, where its annotation asks for date"):
        scheduled(IntervalSchedule(timedelta(hours=6)), args=["2026-1-1"])(tell_day)
