"""What is stored of a job becomes a call: its name is known, its payload whole, its arguments fit."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Claim, Failed, Job, Outcome, Released, Succeeded
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.registry import task_of
from reinhardt_tasks.results import result_of
from reinhardt_tasks.unknown_names import KEY, UNKNOWN_TASK_DELAY, since, with_mark
from tests.worker.running import job_for

from .chores import FAILURE, LOSS, claim_of, execution_of, give_back, give_back_later, held, run

UNKNOWN = replace(job_for(give_back, 1), name="tests.execution.chores.give_bakc", metadata={"a": 1})
OPTIONS = BackendOptions(unknown_task_ttl=100.0)


def met(job: Job, **values: Any) -> tuple[Outcome, dict[str, Any]]:
    """Let a worker meet a job; return what becomes of it, and the metadata that it has then."""
    written = dict(job.metadata)

    def annotate(claim: Claim, metadata: Mapping[str, Any], progress: Any) -> None:
        written.clear()
        written.update(metadata)

    return run(held(job, **values), OPTIONS, annotate=annotate), written


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def marked(seconds: float) -> Job:
    """A job that was met for the first time so long ago."""
    return replace(UNKNOWN, metadata=with_mark(UNKNOWN.metadata, ago(seconds)))


def test_an_unknown_task_is_put_back_until_its_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    outcome, metadata = met(UNKNOWN)
    assert isinstance(outcome, Released)
    assert outcome.delay == UNKNOWN_TASK_DELAY
    assert "give_back'" in caplog.text and "restart the worker" in caplog.text
    again, unchanged = met(replace(UNKNOWN, metadata=metadata))
    assert isinstance(again, Released)
    assert unchanged == metadata

    assert isinstance(met(marked(99), enqueued_at=ago(1000))[0], Released)
    outcome, _ = met(marked(101), enqueued_at=ago(1000))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "reinhardt_tasks.exceptions.TaskNotFound"
    assert "give_bakc" in outcome.attempt.traceback


@pytest.mark.parametrize(
    "facts",
    [{}, {"run_after": ago(5000)}, *({"history": (replace(end, finished_at=ago(5000)),)} for end in (FAILURE, LOSS))],
)
def test_an_unknown_tasks_time_begins_when_it_is_first_met(facts: dict[str, Any]) -> None:
    """It may have waited in a backlog, for a backoff or for somebody who retries it."""
    outcome, metadata = met(replace(UNKNOWN, **facts), enqueued_at=ago(10_000))
    assert isinstance(outcome, Released)
    assert since(replace(UNKNOWN, enqueued_at=ago(10_000), metadata=metadata, **facts)) is not None


@pytest.mark.parametrize(
    "facts",
    [
        {"history": (replace(FAILURE, finished_at=ago(50)),)},
        {"enqueued_at": ago(50)},
        {"metadata": {KEY: "in May"}},
        {"metadata": {KEY: 5}},
        {"metadata": {KEY: "2020-01-01T00:00:00"}},
    ],
)
def test_a_time_that_began_before_is_not_this_ones(facts: dict[str, Any]) -> None:
    """It failed by it, and was retried; or it was run by a worker that knew it; or somebody wrote it by hand."""
    outcome, metadata = met(replace(marked(1000), **facts), **{"enqueued_at": ago(10_000), **facts})
    assert isinstance(outcome, Released)
    assert datetime.fromisoformat(metadata[KEY]) > ago(60)


def test_a_task_does_not_see_since_when_it_was_not_known_and_loses_it(is_async: bool) -> None:
    job = replace(job_for(give_back_later if is_async else give_back, 1), metadata=with_mark({"a": 1}, ago(50)))
    assert result_of(job, task_of(job)).metadata == {"a": 1}
    outcome, metadata = met(job)
    assert isinstance(outcome, Succeeded)
    assert metadata == {"a": 1}


def test_a_store_that_is_away_lets_an_unknown_tasks_time_begin_later(caplog: pytest.LogCaptureFixture) -> None:
    def away(*args: Any) -> None:
        raise QueueError("the store is away")

    assert isinstance(run(held(UNKNOWN), OPTIONS, annotate=away), Released)
    assert "its time begins at the next meeting: the store is away" in caplog.text


def test_a_store_is_not_asked_on_the_event_loop() -> None:
    threads = []
    execution = execution_of(held(UNKNOWN), OPTIONS, annotate=lambda *args: threads.append(threading.current_thread()))
    assert isinstance(asyncio.run(execution.arun()), Released)
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


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
