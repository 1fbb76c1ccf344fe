"""What a task gives back is stored as JSON, or its failure says why it cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reinhardt_tasks.jobs import Failed, Succeeded
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from tests.worker.misdeeds import PROBLEMS, Unreadable

from .chores import claim_of, execution_of, give_back, give_back_later, give_back_odd, run


@task
async def give_back_odd_later() -> Any:
    return {1, 2}


@task
def give_back_unreadable(problem: str) -> Any:
    return Unreadable(PROBLEMS[problem]())


@task
async def give_back_unreadable_later(problem: str) -> Any:
    return Unreadable(PROBLEMS[problem]())


@pytest.mark.parametrize("value", [None, 0, True, "text", 1.5, [1, [2]], {"a": {"b": None}}])
def test_a_value_is_stored_as_json(value: Any, is_async: bool) -> None:
    claim = claim_of(give_back_later if is_async else give_back, value)
    outcome = run(claim)
    assert isinstance(outcome, Succeeded)
    assert outcome.claim is claim
    assert json.loads(outcome.result) == value


def test_a_coroutine_function_runs_without_a_loop_too() -> None:
    outcome = execution_of(claim_of(give_back_later, 5)).run()
    assert outcome == Succeeded(claim=outcome.claim, result="5")


@pytest.mark.parametrize("kind", ["a set", "not a number", "a key", "a ring", "an object"])
def test_a_value_that_json_cannot_hold_fails_for_good(kind: str) -> None:
    outcome = run(claim_of(give_back_odd, kind), BackendOptions(max_attempts=9))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "reinhardt_tasks.exceptions.SerializationFailed"
    assert "tests.execution.chores.give_back_odd" in outcome.attempt.traceback


def test_a_coroutines_value_that_json_cannot_hold_fails_for_good() -> None:
    outcome = run(claim_of(give_back_odd_later))
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize("problem", ["ValueError", "SystemExit", "KeyboardInterrupt", "MemoryError", "Unheard"])
def test_a_value_that_nobody_can_read_fails_its_task(problem: str, is_async: bool) -> None:
    task_ = give_back_unreadable_later if is_async else give_back_unreadable
    outcome = run(claim_of(task_, problem), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
