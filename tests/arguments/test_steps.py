"""Workflows and typed arguments: a step's are of its annotations' types, those too that an earlier step returned."""

from __future__ import annotations

from datetime import date

import pytest

from reinhardt_tasks import SerializationFailed, TaskChainBuilder, previous_result, step, task
from reinhardt_tasks.testing import CapturedTasks

from .chores import got

pytestmark = pytest.mark.django_db


@task
def first_day(days: tuple[date, ...]) -> str:
    got.append(days)
    return min(days).isoformat()


@task
def note_day(day: date, *others: date) -> None:
    got.append((day, others))


def test_steps_are_given_the_types_that_they_ask_for(reinhardt_tasks: CapturedTasks) -> None:
    got.clear()
    days = (date(2026, 2, 1), date(2026, 1, 1))
    TaskChainBuilder("days").add_task(step(first_day, days)).add_task(
        step(note_day, previous_result, date(2026, 3, 1))
    ).build().start()
    reinhardt_tasks.drain(on_commit=True)
    assert got == [days, (date(2026, 1, 1), (date(2026, 3, 1),))]


def test_what_a_step_does_not_ask_for_is_refused(reinhardt_tasks: CapturedTasks) -> None:
    with pytest.raises(SerializationFailed, match="is a str, where its annotation asks for date"):
        TaskChainBuilder("days").add_task(step(note_day, "2026-1-1")).build().start()


def test_a_workflow_bears_workers_that_die(reinhardt_tasks: CapturedTasks) -> None:
    got.clear()
    TaskChainBuilder("days").add_task(step(first_day, (date(2026, 1, 1),))).add_task(
        step(note_day, previous_result)
    ).build().start()
    with reinhardt_tasks.kill_before_settle(first_day), reinhardt_tasks.kill_after_claim(note_day):
        reinhardt_tasks.drain(on_commit=True)
    assert got[-1] == (date(2026, 1, 1), ())
