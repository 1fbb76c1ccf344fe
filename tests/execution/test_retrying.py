"""Whether a task runs again: after a failure, as it asks itself, and when its worker was lost."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks.bare_outcomes import lost_outcome
from reinhardt_tasks.exceptions import Retry
from reinhardt_tasks.jobs import Attempt, Cancelled, Claim, Failed, Retrying
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.tasks import task
from tests.worker.running import job_for

from .chores import FAILURE, LOSS, claim_of, fail, fail_later, give_back, held, run


def broken_backoff(exception: BaseException, task_result: Any) -> float:
    raise ZeroDivisionError("the backoff itself")


def endless_backoff(exception: BaseException, task_result: Any) -> float:
    return float("inf")


def leaving_backoff(exception: BaseException, task_result: Any) -> float:
    sys.exit("from the backoff")


@task
def ask_again(seconds: Any = None) -> None:
    raise Retry(in_=seconds)


@task(backoff=broken_backoff)
def fail_with_broken_backoff() -> None:
    raise ValueError("the task")


@task(backoff=broken_backoff, retry_on=KeyError)
def fail_with_broken_backoff_for_one_kind() -> None:
    raise KeyError("the task")


@task(backoff=endless_backoff)
def fail_with_endless_backoff() -> None:
    raise ValueError("the task")


@task(backoff=leaving_backoff)
def fail_with_leaving_backoff() -> None:
    raise ValueError("the task")


@task(backoff=RetryStrategy.fixed_delay(7, max_retries=2))
def fail_with_strategy() -> None:
    raise ValueError("the task")


@task(backoff=lambda exception, result: None)
def fail_for_good() -> None:
    raise ValueError("the task")


@task(backoff=lambda exception, result: timedelta(minutes=result.attempts))
def fail_with_own_backoff() -> None:
    raise ValueError("the task")


@task(give_up_on=ValueError, max_attempts=5)
def fail_with_what_it_gives_up_on() -> None:
    raise ValueError("the task")


def test_a_failure_is_tried_again_while_attempts_are_left(is_async: bool) -> None:
    fails = fail_later if is_async else fail
    options = BackendOptions(max_attempts=3, backoff=RetryStrategy.fixed_delay(7))
    outcome = run(claim_of(fails, history=(FAILURE,)), options)
    assert isinstance(outcome, Retrying)
    assert (outcome.delay, outcome.attempt.exception) == (7, "builtins.ValueError")
    assert isinstance(run(claim_of(fails, history=(FAILURE, FAILURE)), options), Failed)


def test_who_asks_again_in_the_last_attempt_has_exceeded_the_retries() -> None:
    options = BackendOptions(max_attempts=2)
    assert isinstance(run(claim_of(ask_again, 60), options), Retrying)
    outcome = run(claim_of(ask_again, 60, history=(FAILURE,)), options)
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "reinhardt_tasks.exceptions.MaxRetriesExceeded"
    assert "attempt 2 was its last" in outcome.attempt.traceback
    assert "exceptions.Retry" in outcome.attempt.traceback


def test_lost_workers_do_not_count_as_failures() -> None:
    outcome = run(claim_of(fail, history=(LOSS, LOSS, LOSS)), BackendOptions(max_attempts=2))
    assert isinstance(outcome, Retrying)


def test_a_strategy_says_how_often_and_when() -> None:
    assert run(claim_of(fail_with_strategy, history=(FAILURE,))).delay == 7
    assert isinstance(run(claim_of(fail_with_strategy, history=(FAILURE, FAILURE))), Failed)


def test_a_backoff_is_told_of_the_failure_and_may_end_the_retries() -> None:
    assert run(claim_of(fail_with_own_backoff, history=(FAILURE,))).delay == 120
    assert isinstance(run(claim_of(fail_for_good)), Failed)


def test_what_it_gives_up_on_is_not_tried_again() -> None:
    assert isinstance(run(claim_of(fail_with_what_it_gives_up_on)), Failed)


@pytest.mark.parametrize("seconds", [0, 60, 0.5])
def test_a_task_asks_for_its_own_retry(seconds: float) -> None:
    outcome = run(claim_of(ask_again, seconds))
    assert isinstance(outcome, Retrying)
    assert outcome.delay == seconds
    assert isinstance(run(claim_of(ask_again, seconds), BackendOptions(max_attempts=1)), Failed)


@pytest.mark.parametrize(
    "call",
    [
        claim_of(fail_with_broken_backoff),
        claim_of(fail_with_broken_backoff_for_one_kind),
        claim_of(fail_with_endless_backoff),
        claim_of(fail_with_leaving_backoff),
        claim_of(ask_again, "tomorrow"),
    ],
    ids=["raises", "raises, with retry_on", "endless", "SystemExit", "Retry with nonsense"],
)
def test_a_broken_backoff_gives_way_to_the_default_one(call: Claim, caplog: pytest.LogCaptureFixture) -> None:
    outcome = run(call)
    assert isinstance(outcome, Retrying)
    assert 0 <= outcome.delay <= 1
    assert "its backoff failed" in caplog.text
    assert call.job.id in caplog.text


def test_a_rescued_job_runs_again_at_once() -> None:
    claim = held(job_for(give_back, 1), worker="gone")
    outcome = lost_outcome(claim, BackendOptions())
    assert isinstance(outcome, Retrying)
    assert outcome.delay == 0
    assert outcome.attempt.lost
    assert outcome.attempt.worker == "gone"
    assert outcome.attempt.exception == "reinhardt_tasks.exceptions.WorkerLost"
    assert "gone" in outcome.attempt.traceback


@pytest.mark.parametrize(
    ("history", "kind"),
    [
        ((), Retrying),
        ((LOSS,), Retrying),
        ((FAILURE,) * 9, Retrying),
        ((LOSS, LOSS), Failed),
        ((LOSS, FAILURE, LOSS), Failed),
        ((LOSS,) * 5, Failed),
    ],
)
def test_a_job_that_takes_down_workers_fails(history: tuple[Attempt, ...], kind: type) -> None:
    claim = held(replace(job_for(give_back, 1), history=history))
    assert isinstance(lost_outcome(claim, BackendOptions(max_lost=3)), kind)


def test_a_rescued_job_that_was_to_be_cancelled_is_cancelled() -> None:
    outcome = lost_outcome(held(job_for(give_back, 1), cancel_requested=True), BackendOptions())
    assert isinstance(outcome, Cancelled)
    assert outcome.attempt.lost
