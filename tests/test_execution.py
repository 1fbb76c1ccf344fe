"""One job on its way to its outcome, without a worker: nothing that a task does leaves an Execution as an exception."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks._compat import task_finished, task_started
from reinhardt_tasks.exceptions import QueueError, Retry, TaskCancelled, TaskTimeout
from reinhardt_tasks.execution import TRACEBACK_LIMIT, UNKNOWN_TASK_DELAY, Execution, lost_outcome, task_of
from reinhardt_tasks.jobs import (
    Attempt,
    Cancelled,
    Claim,
    Failed,
    Job,
    Outcome,
    Released,
    Retrying,
    Succeeded,
    TaskStatus,
)
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.registry import registry
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.signals import task_retried
from reinhardt_tasks.tasks import TaskContext, task
from tests.worker.running import Door, job_for

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LOSS = Attempt(worker="gone", started_at=NOON, finished_at=NOON, exception="WorkerLost", traceback="", lost=True)
FAILURE = replace(LOSS, lost=False)


def broken_backoff(exception: BaseException, task_result: Any) -> float:
    raise ZeroDivisionError("the backoff itself")


def endless_backoff(exception: BaseException, task_result: Any) -> float:
    return float("inf")


def leaving_backoff(exception: BaseException, task_result: Any) -> float:
    sys.exit("from the backoff")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class NotOurs(Exception):
    pass


@task
def give_back(value: Any) -> Any:
    return value


@task
async def give_back_later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


@task
def give_back_odd(kind: str) -> Any:
    endless: list[Any] = []
    endless.append(endless)
    return {"a set": {1, 2}, "not a number": float("nan"), "a key": {1: 2}, "a ring": endless, "an object": object()}[
        kind
    ]


@task
async def give_back_odd_later() -> Any:
    return {1, 2}


def raised(kind: str) -> BaseException:
    return {
        "ValueError": ValueError("no"),
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "GeneratorExit": GeneratorExit(),
        "CancelledError": asyncio.CancelledError(),
        "MemoryError": MemoryError(),
        "BaseException": BaseException("at the root"),
        "NotOurs": NotOurs("somebody else's"),
        "Unspeakable": Unspeakable(),
        "surrogate and NUL": ValueError("half \ud800 and \x00"),
        "huge": ValueError("x" * 50_000_000),
        "TaskCancelled": TaskCancelled("the task's own"),
    }[kind]


@task
def fail(kind: str = "ValueError") -> None:
    raise raised(kind)


@task
async def fail_later(kind: str = "ValueError") -> None:
    await asyncio.sleep(0)
    raise raised(kind)


@task
def recurse(depth: int = 0) -> int:
    return recurse.func(depth + 1) + 1


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


@task(takes_context=True, metadata={"from": "the task", "list": []})
def annotate(context: TaskContext, mode: str) -> str:
    if mode == "progress":
        context.progress(1, 3)
        context.progress(2, 3)
    elif mode == "save":
        context.metadata["seen"] = context.attempt
        context.save_metadata()
    elif mode == "leave":
        context.metadata["seen"] = "at the end"
    elif mode == "nested":
        context.metadata["list"].append("inside")
    elif mode == "fail":
        context.metadata["seen"] = "before the failure"
        raise ValueError("no")
    elif mode == "odd":
        context.metadata["seen"] = {1, 2}
    return str(context.task_result.id)


@task(takes_context=True)
async def annotate_later(context: TaskContext, mode: str) -> None:
    if mode == "progress":
        await context.aprogress(1, 3)
    context.metadata["seen"] = "at the end"


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def claim_of(task_: Any, *args: Any, history: tuple[Attempt, ...] = (), **kwargs: Any) -> Claim:
    return held(replace(job_for(task_, *args, **kwargs), history=history))


def held(job: Job, **values: Any) -> Claim:
    facts = {"status": TaskStatus.RUNNING, "token": 1, "worker": "me", "enqueued_at": NOON, "started_at": NOON}
    return Claim(job=replace(job, **{**facts, **values}), token=1, worker="me")


def execution_of(claim: Claim, options: BackendOptions | None = None, **kwargs: Any) -> Execution:
    return Execution(claim, options or BackendOptions(), Door, **kwargs)


def run(claim: Claim, options: BackendOptions | None = None, **kwargs: Any) -> Outcome:
    execution = execution_of(claim, options, **kwargs)
    is_coroutine = registry.has(claim.job.name) and asyncio.iscoroutinefunction(registry.get(claim.job.name).func)
    return asyncio.run(execution.arun()) if is_coroutine else execution.run()


# What a task gives back


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
    assert "tests.test_execution.give_back_odd" in outcome.attempt.traceback


def test_a_coroutines_value_that_json_cannot_hold_fails_for_good() -> None:
    outcome = run(claim_of(give_back_odd_later))
    assert isinstance(outcome, Failed)


# What a task raises


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
    assert outcome.attempt.exception == "tests.test_execution.Unspeakable"
    assert "Unspeakable" in outcome.attempt.traceback


def test_a_traceback_is_text_that_every_database_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Django logs the exception as it is; a captured half of a pair would break the way to pytest's main process.
    for name in ("django.tasks", "django_tasks"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)
    outcome = run(claim_of(fail, "surrogate and NUL"), BackendOptions(max_attempts=1))
    assert isinstance(outcome, Failed)
    assert outcome.attempt.traceback.rstrip().endswith("half \\ud800 and \\x00")
    outcome.attempt.traceback.encode()


# Whether it runs again


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


# Names and payloads


def test_an_unknown_task_is_put_back_until_its_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = datetime.now(UTC)
    unknown = replace(job_for(give_back, 1), name="tests.test_execution.give_bakc")
    options = BackendOptions(unknown_task_ttl=100.0)

    claim = held(unknown, enqueued_at=now - timedelta(seconds=50))
    outcome = run(claim, options)
    assert outcome == Released(claim=claim, delay=UNKNOWN_TASK_DELAY)
    assert "give_back'" in caplog.text

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


# Stopped from outside


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


# Metadata and progress


class Notes:
    """Takes what an execution writes to its store."""

    def __init__(self) -> None:
        self.written: list[tuple[dict[str, Any], Any]] = []

    def __call__(self, claim: Claim, metadata: dict[str, Any], progress: Any) -> bool:
        self.written.append((json.loads(json.dumps(metadata)), progress))
        return True


def written(task_: Any, mode: str) -> list[tuple[dict[str, Any], Any]]:
    notes = Notes()
    run(claim_of(task_, mode), annotate=notes)
    return notes.written


START = {"from": "the task", "list": []}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("nothing", []),
        ("progress", [(START, (1, 3)), (START, (2, 3))]),
        ("save", [({**START, "seen": 1}, None), ({**START, "seen": 1}, None)]),
        ("leave", [({**START, "seen": "at the end"}, None)]),
        ("fail", [({**START, "seen": "before the failure"}, None)]),
        ("nested", [({"from": "the task", "list": ["inside"]}, None)]),
        ("odd", []),
    ],
)
def test_metadata_is_saved_when_told_and_when_it_changed(mode: str, expected: Any) -> None:
    assert written(annotate, mode) == expected


def test_a_task_changes_its_own_metadata_only() -> None:
    written(annotate, "nested")
    assert annotate.metadata == START


def test_a_coroutine_writes_progress_and_metadata() -> None:
    end = ({"seen": "at the end"}, None)
    assert written(annotate_later, "leave") == [end]
    assert written(annotate_later, "progress") == [({}, (1, 3)), (end[0], (1, 3))]


@pytest.mark.parametrize("mode", ["leave", "odd"])
def test_metadata_that_cannot_be_saved_harms_nothing(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*args: Any) -> bool:
        raise QueueError("down")

    assert isinstance(run(claim_of(annotate, mode), annotate=refuse), Succeeded)
    assert "metadata could not be saved" in caplog.text


# Signals


class Ears:
    """Hears the three signals of a run, sent by Door."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int]] = []
        self.exceptions: list[type | None] = []
        self.delays: list[float] = []
        self._receivers: list[tuple[Any, Callable[..., None]]] = []

    def receiver(self, name: str) -> Callable[..., None]:
        def receive(*, sender: type, task_result: Any, **facts: Any) -> None:
            assert sender is Door
            self.heard.append((name, str(task_result.state), len(task_result.errors)))
            self.exceptions.append(sys.exc_info()[0])
            if "delay" in facts:
                self.delays.append(facts["delay"])

        return receive

    def __enter__(self) -> Ears:
        for name, signal in SIGNALS.items():
            receiver = self.receiver(name)
            signal.connect(receiver, sender=Door, weak=False)
            self._receivers.append((signal, receiver))
        return self

    def __exit__(self, *exc_info: object) -> None:
        for signal, receiver in self._receivers:
            signal.disconnect(receiver, sender=Door)


SIGNALS = {"started": task_started, "finished": task_finished, "retried": task_retried}


@pytest.fixture
def ears() -> Iterator[Ears]:
    with Ears() as ears:
        yield ears


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


# What a lost worker leaves


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
