"""Those who follow jobs: asked before a job runs, told of its end before it is settled, and never of other jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks import followers
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.execution import Execution
from reinhardt_tasks.followers import FOLLOWERS
from reinhardt_tasks.jobs import Attempt, Claim, Failed, Job, Outcome, Released, Retrying, Succeeded, TaskStatus, new_id
from reinhardt_tasks.log_capture import listening
from reinhardt_tasks.log_lines import decode_log
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.serialization import encode_call
from reinhardt_tasks.tasks import task


@task
def double(number: int) -> int:
    return 2 * number


@task(takes_context=True)
def show(context: Any, number: int) -> list[Any]:
    return [number, context.task_result.args]


@task
async def double_later(number: int) -> int:
    return 2 * number


@task
def warn() -> None:
    logging.getLogger(__name__).warning("once more")


@task(max_attempts=1)
def fail_once() -> None:
    raise ValueError("once")


@task(max_attempts=2)
def fail_always() -> None:
    raise ValueError("always")


class Watcher:
    """Follows what has the header "watched"."""

    def __init__(self) -> None:
        self.told: list[Outcome] = []
        self.known: Outcome | None = None
        self.argument: int | None = None
        self.problem: Exception | None = None
        self.has_joined = False
        self.recorded: Outcome | None = None

    def begin(self, claim: Claim, note: Any, args: list[Any], kwargs: dict[str, Any]) -> Outcome | None:
        if self.problem is not None:
            raise self.problem
        if self.argument is not None:
            args[0] = self.argument
        return self.known

    def ended(self, note: Any, outcome: Outcome) -> Outcome:
        self.told.append(outcome)
        if self.recorded is not None:
            return self.recorded
        return replace(outcome, result="7") if isinstance(outcome, Succeeded) else outcome

    def joins(self) -> bool:
        return self.has_joined

    def tend(self, patience: timedelta, keep: timedelta | None) -> None:
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    FOLLOWERS["watched"] = Watcher()
    yield FOLLOWERS["watched"]  # type: ignore[misc]
    del FOLLOWERS["watched"]


def claim_of(function: Any, *args: Any, **changes: Any) -> Claim:
    headers = changes.pop("headers", {"watched": True})
    job = Job(
        id=new_id(),
        name=function.module_path,
        payload=encode_call(function.module_path, args, {}, headers),
        backend="default",
        status=TaskStatus.RUNNING,
        token=1,
        **changes,
    )
    return Claim(job=job, token=1, worker="w")


def execution_of(claim: Claim) -> Execution:
    return Execution(claim, BackendOptions(), object)


def test_a_followed_job_gets_its_arguments_and_its_outcome_from_there(watcher: Watcher) -> None:
    watcher.argument = 21
    execution = execution_of(claim_of(double, 1))
    outcome = execution.run()
    assert isinstance(outcome, Succeeded)
    assert [told.result for told in watcher.told if isinstance(told, Succeeded)] == ["42"]
    assert outcome.result == "7"


def test_the_context_shows_the_arguments_that_it_runs_with(watcher: Watcher) -> None:
    watcher.argument = 21
    execution_of(claim_of(show, 1)).run()
    assert [told.result for told in watcher.told if isinstance(told, Succeeded)] == ["[21,[21]]"]


def test_a_followed_coroutine_too(watcher: Watcher) -> None:
    from asgiref.sync import async_to_sync

    watcher.argument = 21
    outcome = async_to_sync(execution_of(claim_of(double_later, 1)).arun)()
    assert isinstance(outcome, Succeeded)
    assert [told.result for told in watcher.told if isinstance(told, Succeeded)] == ["42"]
    assert outcome.result == "7"


def test_an_outcome_that_is_on_record_already_has_the_lines_of_this_attempt(watcher: Watcher) -> None:
    claim = claim_of(warn)
    watcher.recorded = Succeeded(claim=claim, result="5")
    execution = execution_of(claim)
    execution.keeps_log = True
    with listening():
        outcome = execution.run()
    assert isinstance(outcome, Succeeded) and outcome.result == "5"
    (log,) = decode_log(outcome.log)
    assert [line.message for line in log.lines] == ["once more"]


def test_what_has_ended_does_not_run(watcher: Watcher) -> None:
    claim = claim_of(double, 1)
    watcher.known = Succeeded(claim=claim, result="5")
    assert execution_of(claim).run() is watcher.known
    assert watcher.told == []


@pytest.mark.parametrize("problem", [QueueError("away"), RuntimeError("a bug")])
def test_a_job_is_put_back_while_its_follower_cannot_be_asked(watcher: Watcher, problem: Exception) -> None:
    watcher.problem = problem
    outcome = execution_of(claim_of(double, 1)).run()
    assert isinstance(outcome, Released)
    assert outcome.delay > 0


def test_only_an_end_is_told(watcher: Watcher) -> None:
    assert isinstance(execution_of(claim_of(fail_always)).run(), Retrying)
    assert watcher.told == []
    attempt = Attempt(worker="w", started_at=None, finished_at=None, exception="x.Y", traceback="")
    assert isinstance(execution_of(claim_of(fail_always, history=(attempt,))).run(), Failed)
    assert len(watcher.told) == 1


@pytest.mark.parametrize("headers", [None, {"other": 1}])
def test_other_jobs_are_nobodys_business(watcher: Watcher, headers: Any) -> None:
    watcher.problem = RuntimeError("must not be asked")
    claim = claim_of(double, 1, headers=headers)
    outcome = execution_of(claim).run()
    assert outcome == Succeeded(claim=claim, result="2")
    assert followers.all_ended([outcome]) == [outcome]
    assert watcher.told == []


def test_outcomes_made_elsewhere_are_told_by_their_payload(watcher: Watcher) -> None:
    followed, plain = claim_of(double, 1), claim_of(double, "watched", headers=None)
    attempt = Attempt(worker="w", started_at=None, finished_at=None, exception="x.Y", traceback="")
    outcomes = [Failed(claim=followed, attempt=attempt), Failed(claim=plain, attempt=attempt), Released(claim=followed)]
    assert followers.all_ended(outcomes) == outcomes
    assert watcher.told == outcomes[:1]


def test_in_a_transaction_only_a_record_that_joins_it_is_made_and_no_failure(watcher: Watcher) -> None:
    for joins, function, told in [(False, double, 0), (True, double, 1), (True, fail_once, 0)]:
        watcher.told.clear()
        watcher.has_joined = joins
        execution = execution_of(claim_of(function, *([1] if function is double else [])))
        execution.in_transaction = True
        execution.run()
        assert len(watcher.told) == told


def test_tending_raises_nothing(watcher: Watcher, caplog: pytest.LogCaptureFixture) -> None:
    other, FOLLOWERS["workflow"] = FOLLOWERS["workflow"], Watcher()
    try:
        for problem in (RuntimeError("a bug"), RuntimeError("a bug"), None, RuntimeError("a bug")):
            watcher.problem = problem
            followers.tend(timedelta(1), None)
    finally:
        FOLLOWERS["workflow"] = other
    assert caplog.text.count("header 'watched' could not be looked for") == 2, "told once while it lasts"
