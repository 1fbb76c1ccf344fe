"""Workers of workflows that are lost, late, or end at one moment, on each kind of database: each step counts once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks import ChainStatus, TaskChain, get_workflow, group, previous_result, step
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.exceptions import TaskCancelled
from reinhardt_tasks.execution import Execution
from reinhardt_tasks.jobs import Cancelled, Failed, Retrying, Succeeded, TaskStatus
from tests.worker.running import maintenance_of

from .running import ByHand, at_once, is_sound, run_twice_at_once, worked_off
from .tasks import fail_if, ran, say, total


@pytest.fixture(autouse=True)
def on_a_database(setting: dict[str, Any]) -> None:
    """All of this runs on each database."""


def broker() -> Any:
    return task_backends["default"].broker


def test_a_recorded_success_is_settled_without_a_second_run(database_alias: str) -> None:
    run = TaskChain("crash", [step(say, 1), step(say, 2)]).start()
    dead, next_one = ByHand("dead"), ByHand("next")
    (claim,) = dead.claim()
    assert isinstance(dead.run(claim), Succeeded)
    assert ran == [1]
    dead.dies()
    assert maintenance_of(broker(), next_one.info, task_backends["default"].settings).rescue() == 1
    worked_off(run)
    assert run.status is ChainStatus.COMPLETED
    assert ran == [1, 2]
    assert {job.status for job in broker().get([each.job_id for each in run.steps()]).values()} == {TaskStatus.SUCCESS}
    is_sound(run)


def test_a_success_on_record_stands_when_the_workers_lost_were_too_many(database_alias: str, settings: Any) -> None:
    settings.TASKS["default"]["OPTIONS"]["MAX_LOST"] = 1
    settings.TASKS = dict(settings.TASKS)
    run = TaskChain("crash", [step(say, 1), step(say, 2)]).start()
    dead, next_one = ByHand("dead"), ByHand("next")
    dead.run(dead.claim()[0])
    dead.dies()
    maintenance_of(broker(), next_one.info, task_backends["default"].settings).rescue()
    assert broker().get([run.steps()[0].job_id]).popitem()[1].status is TaskStatus.SUCCESS
    assert worked_off(run).status is ChainStatus.COMPLETED


def test_a_step_that_took_its_workers_down_has_failed(database_alias: str, settings: Any) -> None:
    settings.TASKS["default"]["OPTIONS"]["MAX_LOST"] = 1
    settings.TASKS = dict(settings.TASKS)
    run = TaskChain("poison", [step(say, 1), step(say, 2)]).start()
    dead, next_one = ByHand("dead"), ByHand("next")
    dead.claim()
    dead.dies()
    maintenance_of(broker(), next_one.info, task_backends["default"].settings).rescue()
    assert run.refresh().status is ChainStatus.FAILED
    assert "WorkerLost" in run.steps()[0].error


def test_a_late_workers_second_end_changes_nothing(database_alias: str) -> None:
    run = TaskChain("late", [step(say, 1), step(say, 2), step(say, 3)]).start()
    late, other = ByHand("late"), ByHand("other")
    (claim,) = late.claim()
    late.dies()
    for rescued in broker().rescue(10, other.info):
        other.settle(Retrying(claim=rescued, attempt=_attempt()))
    (again,) = other.claim()
    assert other.settle(other.run(again)) == []
    assert late.settle(late.run(claim)) == [claim]
    assert ran == [1], "the late one found the end on record"
    worked_off(run)
    assert ran == [1, 2, 3]
    is_sound(run)


@pytest.mark.parametrize("ending", ["failed", "halted"])
def test_a_late_workers_failure_is_not_the_steps(database_alias: str, tmp_path: Path, ending: str) -> None:
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    run = TaskChain("late", [step(fail_if, str(obstacle)), step(say, 2)]).start()
    late, other = ByHand("late"), ByHand("other")
    (claim,) = late.claim()
    late.dies()
    for rescued in broker().rescue(10, other.info):
        other.settle(Retrying(claim=rescued, attempt=_attempt()))
    if ending == "failed":
        assert isinstance(late.run(claim), Failed)
    else:
        # As the worker does it that hears that its lease ran out.
        execution = Execution(claim, late.backend.settings, object)
        assert execution.prepare() is None
        assert isinstance(execution.stopped(TaskCancelled("The worker's lease ran out.")), Cancelled)
    assert run.progress() == (0, 2)
    obstacle.unlink()
    assert worked_off(run).status is ChainStatus.COMPLETED
    is_sound(run)


def test_both_ends_of_a_race_agree_on_the_first(database_alias: str) -> None:
    """Two workers that both hold a step (one lost its lease) end at one moment: it is counted once."""
    run = group(step(say, 1), step(say, 2)).then(total, previous_result).start()
    run_twice_at_once()
    is_sound(run)
    assert get_workflow(run.id).progress() == (1, 3)


def test_many_members_that_end_at_once_open_the_gate_once(database_alias: str) -> None:
    run = group(step(say, number) for number in range(12)).then(total, previous_result).start()
    worker = ByHand("all")
    claims = worker.claim(12)

    def end(claim: Any) -> None:
        worker.settle(worker.run(claim))

    at_once(*(partial(end, claim) for claim in claims))
    is_sound(run)
    assert worked_off(run).return_value == sum(range(12))
    assert ran.count("total") == 1


def _attempt() -> Any:
    from reinhardt_tasks.jobs import Attempt

    return Attempt(worker="", started_at=None, finished_at=None, exception="x.Lost", traceback="", lost=True)
