"""Limits and typed arguments: keys are made of what was passed, one call is one text whatever its types."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.contrib.auth.models import Group

from reinhardt_tasks import IntervalSchedule, Unique, scheduled, task
from reinhardt_tasks.schedules import declared
from reinhardt_tasks.testing import CapturedTasks


@task(unique=True)
def close(day: date, until: date = date(2030, 1, 1), *rest: date) -> None: ...


@task(concurrency=1, rate_limit="100/m")
def plain(day: date) -> None: ...


def month(day: date) -> str:
    return f"{day:%Y-%m}"


@task(unique=Unique(key=month))
def once_a_month(day: date) -> None: ...


@task(unique=Unique(key="{group.name}"))
def greet(group: Group) -> None: ...


def test_one_call_is_unique_whatever_its_types(reinhardt_tasks: CapturedTasks) -> None:
    first = close.enqueue(date(2026, 1, 1))
    assert close.enqueue(day=date(2026, 1, 1), until=date(2030, 1, 1)).id == first.id
    assert close.enqueue(date(2026, 1, 2)).id != first.id
    assert close.enqueue(date(2026, 1, 1), date(2030, 1, 1), date(2026, 1, 2)).id != first.id
    plain.enqueue(date(2026, 1, 1))
    assert len(reinhardt_tasks.drain()) == 4


def test_a_key_is_made_of_what_was_passed(reinhardt_tasks: CapturedTasks) -> None:
    first = once_a_month.enqueue(date(2026, 1, 1))
    assert once_a_month.enqueue(date(2026, 1, 31)).id == first.id
    assert once_a_month.enqueue(date(2026, 2, 1)).id != first.id


@pytest.mark.django_db
def test_a_key_may_ask_an_instance(reinhardt_tasks: CapturedTasks) -> None:
    group = Group.objects.create(name="a")
    assert greet.enqueue(group).id == greet.enqueue(Group.objects.get()).id


@pytest.mark.django_db
def test_a_schedules_task_has_its_key_of_the_same(reinhardt_tasks: CapturedTasks) -> None:
    scheduled(IntervalSchedule(timedelta(hours=6)), name="keyed", args=[date(2026, 1, 1)])(once_a_month)
    try:
        reinhardt_tasks.travel(timedelta(hours=6), schedules=True)
    finally:
        declared.unregister("keyed")
    reinhardt_tasks.assert_enqueued(once_a_month, args=[date(2026, 1, 1)], count=1)
