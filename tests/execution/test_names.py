"""What is stored of a job becomes a call: its name is known, its payload whole, its arguments fit."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reinhardt_tasks.execution import UNKNOWN_TASK_DELAY, task_of
from reinhardt_tasks.jobs import Failed, Released, Succeeded
from reinhardt_tasks.options import BackendOptions
from tests.worker.running import job_for

from .chores import claim_of, execution_of, give_back, give_back_later, held, run


def test_an_unknown_task_is_put_back_until_its_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = datetime.now(UTC)
    unknown = replace(job_for(give_back, 1), name="tests.execution.chores.give_bakc")
    options = BackendOptions(unknown_task_ttl=100.0)

    claim = held(unknown, enqueued_at=now - timedelta(seconds=50))
    outcome = run(claim, options)
    assert outcome == Released(claim=claim, delay=UNKNOWN_TASK_DELAY)
    assert "give_back'" in caplog.text and "restart the worker" in caplog.text

    outcome = run(held(unknown, enqueued_at=now - timedelta(seconds=101)), options)
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "reinhardt_tasks.exceptions.TaskNotFound"
    assert "give_bakc" in outcome.attempt.traceback


def test_an_unknown_tasks_time_begins_when_it_is_due() -> None:
    now = datetime.now(UTC)
    unknown = replace(job_for(give_back, 1), name="tests.nowhere.task", run_after=now - timedelta(seconds=1))
    outcome = run(held(unknown, enqueued_at=now - timedelta(days=30)), BackendOptions(unknown_task_ttl=100.0))
    assert isinstance(outcome, Released)


def test_a_name_is_never_imported() -> None:
    job = replace(job_for(give_back, 1), name="tests.example.not_imported.task")
    run(held(job, enqueued_at=datetime.now(UTC)))
    assert "tests.example.not_imported" not in sys.modules


@pytest.mark.parametrize(
    "payload", ["", "nonsense", "[]", "[1, 2]", '{"a": 1}', "[[], []]", "[[]]", "null", "[" * 9999]
)
def test_a_damaged_payload_fails_for_good(payload: str, is_async: bool) -> None:
    job = replace(job_for(give_back_later if is_async else give_back, 1), payload=payload)
    outcome = run(held(job))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "reinhardt_tasks.exceptions.SerializationFailed"


def test_arguments_that_do_not_fit_are_a_failure() -> None:
    job = replace(job_for(give_back, 1), payload='[[], {"other": 1}]')
    outcome = run(held(job), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "builtins.TypeError"


def test_a_job_is_run_as_it_was_enqueued() -> None:
    job = job_for(give_back.using(priority=7, queue_name="other"), 1)
    assert (task_of(job).priority, task_of(job).queue_name) == (7, "other")
    # The settings have moved on.
    assert task_of(replace(job, backend="no longer there")).func is give_back.func


def test_the_caller_may_have_the_task_in_hand() -> None:
    execution = execution_of(held(replace(job_for(give_back, 1), name="not.registered")))
    execution.use(give_back)
    assert isinstance(execution.run(), Succeeded)


def test_a_tasks_timeout_goes_before_the_backends() -> None:
    execution = execution_of(claim_of(give_back, 1), BackendOptions(timeout=9.0))
    assert execution.prepare() is None
    assert execution.timeout == 9
    execution = execution_of(held(replace(job_for(give_back, 1), name="x")), BackendOptions(timeout=9.0))
    execution.use(replace(give_back, timeout=4.0))
    assert execution.prepare() is None
    assert execution.timeout == 4
