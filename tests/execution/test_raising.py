"""Whatever a task raises is its own failure, and nobody else's."""

from __future__ import annotations

import logging

import pytest

from reinhardt_tasks.exception_text import TRACEBACK_LIMIT
from reinhardt_tasks.jobs import Failed, Retrying
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task

from .chores import NOON, claim_of, fail, fail_later, run


@task
def recurse(depth: int = 0) -> int:
    return recurse.func(depth + 1) + 1


@pytest.mark.parametrize(
    "kind",
    [
        "ValueError",
        "SystemExit",
        "KeyboardInterrupt",
        "GeneratorExit",
        "MemoryError",
        "BaseException",
        "CancelledError",
    ],
)
def test_whatever_is_raised_is_the_tasks_own_failure(kind: str, is_async: bool) -> None:
    outcome = run(claim_of(fail_later if is_async else fail, kind), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception.endswith(f".{kind}")
    assert outcome.attempt.worker == "me"
    assert outcome.attempt.started_at == NOON
    assert "in fail" in outcome.attempt.traceback


def test_what_the_caller_wants_for_itself_is_let_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(claim_of(fail, "KeyboardInterrupt"), propagate=(KeyboardInterrupt,))
    assert isinstance(run(claim_of(fail, "SystemExit"), propagate=(KeyboardInterrupt,)), Retrying)


def test_a_recursion_without_end_is_a_failure() -> None:
    outcome = run(claim_of(recurse), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "builtins.RecursionError"


def test_a_message_of_50_megabytes_is_cut(is_async: bool) -> None:
    outcome = run(claim_of(fail_later if is_async else fail, "huge"), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
    text = outcome.attempt.traceback
    assert len(text) < TRACEBACK_LIMIT + 100
    assert text.startswith("Traceback")
    assert "letters left out" in text


def test_an_exception_without_words_is_a_failure() -> None:
    outcome = run(claim_of(fail, "Unspeakable"), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.exception == "tests.execution.chores.Unspeakable"
    assert "Unspeakable" in outcome.attempt.traceback


def test_a_traceback_is_text_that_every_database_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Django logs the exception as it is; a captured half of a pair would break the way to pytest's main process.
    for name in ("django.tasks", "django_tasks"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)
    outcome = run(claim_of(fail, "surrogate and NUL"), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.traceback.rstrip().endswith("half \\ud800 and \\x00")
    outcome.attempt.traceback.encode()
