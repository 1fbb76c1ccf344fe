"""Workers die on purpose, so that tasks can be shown to bear it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import Group

from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.signals import task_finished
from reinhardt_tasks.testing import CapturedTasks, TasksFailed

from .chores import anote, make_group_atomically, make_group_once, note, noted


def test_a_worker_that_dies_after_its_claim_has_run_nothing(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    with reinhardt_tasks.kill_after_claim(note):
        [ran] = reinhardt_tasks.drain()
    assert noted == [1]
    assert (ran.state, ran.attempts, ran.losses) == (TaskStatus.SUCCESS, 2, 1)
    assert "WorkerLost" in ran.errors[0].exception_class_path


def test_a_worker_that_dies_before_it_settles_has_run_the_body(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    with reinhardt_tasks.kill_before_settle():
        [ran] = reinhardt_tasks.drain()
    assert noted == [1, 1]
    assert (ran.state, ran.losses) == (TaskStatus.SUCCESS, 1)


def test_a_duplicate_runs_the_body_twice_and_what_the_first_says_is_refused(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    note.enqueue(2)
    with reinhardt_tasks.duplicate_delivery(note):
        ran = reinhardt_tasks.drain()
    assert sorted(noted) == [1, 1, 2, 2]
    assert [one.return_value for one in ran] == [1, 2]


def test_coroutines_die_too(reinhardt_tasks: CapturedTasks) -> None:
    async def drain() -> None:
        for fault in (reinhardt_tasks.kill_after_claim, reinhardt_tasks.kill_before_settle):
            await anote.aenqueue(1)
            with fault(anote):
                await reinhardt_tasks.adrain()

    asyncio.run(drain())
    assert noted == [1, 1, 1]


def test_a_task_that_takes_down_too_many_workers_fails(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    with reinhardt_tasks.kill_after_claim(note, times=3), pytest.raises(TasksFailed, match="WorkerLost"):
        reinhardt_tasks.drain()
    assert noted == []


@pytest.mark.django_db
def test_a_task_that_is_not_idempotent_is_found_out(reinhardt_tasks: CapturedTasks) -> None:
    make_group_once.enqueue("a")
    with reinhardt_tasks.duplicate_delivery(make_group_once), pytest.raises(TasksFailed, match="IntegrityError"):
        reinhardt_tasks.drain()


@pytest.mark.django_db
@pytest.mark.parametrize("fault", ["kill_before_settle", "duplicate_delivery"])
def test_an_atomic_task_has_effect_once(reinhardt_tasks: CapturedTasks, fault: str) -> None:
    heard: list[str] = []

    def hear(task_result: Any, **facts: Any) -> None:
        heard.append(task_result.id)

    task_finished.connect(hear)
    try:
        result = make_group_atomically.enqueue("a")
        with getattr(reinhardt_tasks, fault)(make_group_atomically):
            reinhardt_tasks.drain()
    finally:
        task_finished.disconnect(hear)
    assert heard == [result.id]
    assert noted == ["a", "a"]
    assert Group.objects.count() == 1


def test_a_fault_that_met_nothing_is_told(reinhardt_tasks: CapturedTasks) -> None:
    with (
        pytest.raises(AssertionError, match=r"No task tests.testing.chores.note was run here.*drain\(\) in this block"),
        reinhardt_tasks.duplicate_delivery(note),
    ):
        anote.enqueue(1)
        reinhardt_tasks.drain()


def test_a_fault_ends_with_its_block(reinhardt_tasks: CapturedTasks) -> None:
    note.enqueue(1)
    with reinhardt_tasks.kill_before_settle(note):
        reinhardt_tasks.drain()
    noted.clear()
    note.enqueue(2)
    reinhardt_tasks.drain()
    assert noted == [2]
