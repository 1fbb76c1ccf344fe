"""The signals of a run, each told once, whatever their receivers do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from reinhardt_tasks._compat import task_finished
from reinhardt_tasks.jobs import Retrying, Succeeded
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.retries import RetryStrategy
from tests.worker.running import Door, job_for

from .chores import FAILURE, claim_of, fail, fail_later, give_back, give_back_later, give_back_odd, held, run
from .ears import SIGNALS, Ears


def test_a_success_is_told_twice(ears: Ears, is_async: bool) -> None:
    run(claim_of(give_back_later if is_async else give_back, 5))
    assert ears.heard == [("started", "RUNNING", 0), ("finished", "SUCCESS", 0)]
    assert ears.exceptions == [None, None]


def test_a_failure_is_told_while_the_exception_is_handled(ears: Ears, is_async: bool) -> None:
    run(claim_of(fail_later if is_async else fail), BackendOptions(max_attempts=1))
    assert ears.heard == [("started", "RUNNING", 0), ("finished", "FAILURE", 1)]
    assert ears.exceptions == [None, ValueError]


def test_a_retry_is_told_as_one(ears: Ears, is_async: bool) -> None:
    options = BackendOptions(backoff=RetryStrategy.fixed_delay(7))
    run(claim_of(fail_later if is_async else fail, history=(FAILURE,)), options)
    assert ears.heard == [("started", "RUNNING", 1), ("retried", "RETRY", 2)]
    assert ears.exceptions == [None, ValueError]
    assert ears.delays == [7]


def test_a_value_that_json_cannot_hold_is_told_as_a_failure(ears: Ears) -> None:
    run(claim_of(give_back_odd, "a set"))
    assert ears.heard == [("started", "RUNNING", 0), ("finished", "FAILURE", 1)]


def test_what_is_not_run_is_not_told_of(ears: Ears) -> None:
    run(held(replace(job_for(give_back, 1), name="not.known", enqueued_at=datetime.now(UTC))))
    run(held(replace(job_for(give_back, 1), payload="nonsense")))
    assert ears.heard == []


def test_a_receiver_sees_the_value() -> None:
    seen = []

    def receive(task_result: Any, **facts: Any) -> None:
        seen.append((task_result.return_value, task_result.is_finished, task_result.finished_at is not None))

    task_finished.connect(receive, sender=Door)
    try:
        run(claim_of(give_back, [1, {"a": 2}]))
    finally:
        task_finished.disconnect(receive, sender=Door)
    assert seen == [([1, {"a": 2}], True, True)]


@pytest.mark.parametrize("problem", [ValueError, SystemExit])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_receiver_that_raises_harms_nothing(name: str, problem: type[BaseException], is_async: bool) -> None:
    def receive(**facts: Any) -> None:
        raise problem("the receiver")

    options = BackendOptions(backoff=RetryStrategy.fixed_delay(7))
    with Ears() as ears:
        # After the others: one that wants to leave keeps the news from those behind it.
        SIGNALS[name].connect(receive, sender=Door)
        try:
            done = run(claim_of(give_back_later if is_async else give_back, 1), options)
            failed = run(claim_of(fail_later if is_async else fail), options)
        finally:
            SIGNALS[name].disconnect(receive, sender=Door)
    assert isinstance(done, Succeeded)
    assert isinstance(failed, Retrying)
    assert failed.attempt.exception == "builtins.ValueError"
    assert [told for told, *_ in ears.heard] == ["started", "finished", "started", "retried"]
