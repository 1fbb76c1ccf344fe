"""A task that is stopped from outside ends as its stopper said."""

from __future__ import annotations

import asyncio

import pytest

from reinhardt_tasks.exceptions import TaskCancelled, TaskTimeout
from reinhardt_tasks.execution import Execution
from reinhardt_tasks.jobs import Cancelled, Failed, Retrying, Succeeded
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task

from .chores import claim_of, execution_of, fail, fail_later, give_back, run
from .ears import Ears

REASONS = [(TaskTimeout, Retrying), (TaskCancelled, Cancelled)]


@task
def stop_itself(fails: bool) -> None:
    stopped.stopped_by = reason_to_stop
    if fails:
        raise ValueError("no")


stopped: Execution
reason_to_stop: BaseException


@pytest.mark.parametrize(("reason", "kind"), REASONS)
@pytest.mark.parametrize("fails", [False, True], ids=["it returned", "it raised"])
def test_a_stopped_task_ends_as_its_stopper_said(reason: type[BaseException], kind: type, fails: bool) -> None:
    global stopped, reason_to_stop
    stopped, reason_to_stop = execution_of(claim_of(stop_itself, fails)), reason("from outside")
    outcome = stopped.run()
    assert isinstance(outcome, kind)
    assert outcome.attempt.exception.endswith(reason.__name__)
    assert ("ValueError: no" in outcome.attempt.traceback) is fails


@pytest.mark.parametrize(("reason", "kind"), REASONS)
def test_what_is_stopped_before_it_begins_does_not_begin(
    reason: type[BaseException], kind: type, is_async: bool, ears: Ears
) -> None:
    execution = execution_of(claim_of(fail_later if is_async else fail))
    execution.stopped_by = reason("from outside")
    outcome = asyncio.run(execution.arun()) if is_async else execution.run()
    assert isinstance(outcome, kind)
    assert "ValueError" not in outcome.attempt.traceback
    assert "started" not in [name for name, *_ in ears.heard]


def test_a_task_that_raises_task_cancelled_itself_has_failed() -> None:
    assert isinstance(run(claim_of(fail, "TaskCancelled"), BackendOptions(max_attempts=1)), Failed)


def test_a_success_that_could_not_be_kept_is_a_failure_after_all() -> None:
    execution = execution_of(claim_of(give_back, 1))
    assert isinstance(execution.run(), Succeeded)
    outcome = execution.fail(ValueError("the commit failed"))
    assert isinstance(outcome, Retrying)
    assert "the commit failed" in outcome.attempt.traceback
