"""One job on its way to its outcome: resolve, signal, call, catch, decide. For the Immediate backend and the worker alike.

Nothing a task does leaves here as an exception: not SystemExit, not a return value that JSON cannot hold, not a recursion
without end. Whoever runs an Execution gets an Outcome: from `run`, or where that is left, from `fail`, or in the end from
`give_up`, which needs nothing but the claim.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.dispatch import Signal

from . import carriers, followers, signals, unknown_names
from ._compat import CoreTask, TaskError, TaskResultStatus
from .arguments import converter_of
from .awaiting import drop_cancellation, in_thread
from .bare_outcomes import attempt_of, bare_outcome
from .contexts import TaskContext, in_context
from .exception_text import Clean, log_exception, with_raised_hidden
from .exceptions import (
    InstanceMissing,
    MaxRetriesExceeded,
    Retry,
    SerializationFailed,
    TaskCancelled,
    TaskNotFound,
)
from .jobs import Cancelled, Claim, Failed, Outcome, Progress, Released, Retrying, Succeeded, TaskStatus
from .log_capture import KeptLines
from .options import BackendOptions
from .receivers import guarded
from .redaction import call_cleaner, hides, without_secrets
from .registry import task_of
from .results import TaskResult, fill_result
from .retries import RetryStrategy
from .schedules.slots import scheduled_for
from .serialization import decode_call, dumps

logger = logging.getLogger("reinhardt_tasks")

_NOTHING = nullcontext()
_PLAIN = (str, int, float, bool, type(None))

Annotate = Callable[[Claim, dict[str, Any], "Progress | None"], Any]


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a task ended, and what is told of it."""

    outcome: Outcome
    signal: Signal
    facts: dict[str, Any] = field(default_factory=dict)


class Execution:
    """Runs the job of one claim. `sender` is the backend's class, as Django's signals want it.

    `annotate` writes metadata and progress to the store. `propagate` names exceptions that are not the task's to fail by:
    they leave `run()` as they are.
    """

    def __init__(
        self,
        claim: Claim,
        options: BackendOptions,
        sender: type,
        annotate: Annotate | None = None,
        propagate: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.claim = claim
        self.task: CoreTask | None = None
        #: Set by whoever stops the task from outside, before it is stopped: why (TaskTimeout, TaskCancelled).
        self.stopped_by: BaseException | None = None
        #: When it began to run, by the monotonic clock, and who wants to hear of that.
        self.began_at: float | None = None
        self.on_begin: Callable[[Execution], None] | None = None
        #: Whether a coroutine is in its own code just now; what surrounds that must not be cancelled.
        self.may_be_cancelled = False
        self._options = options
        self._sender = sender
        self._annotate = annotate
        self._propagate = propagate
        #: Set by whoever has to commit a success first, and calls `tell_success` when that is done.
        self.holds_success_back = False
        #: Set by whoever settles its outcome in a store that others look into, and is `listening`: what the task logs goes along.
        self.keeps_log = False
        #: What travelled with the call, unseen by the task; known once it is prepared.
        self.headers: dict[str, Any] = {}
        #: Set by whoever runs it in a transaction together with the record of its success, and unset afterwards.
        self.in_transaction = False
        self._args: list[Any] = []
        self._kwargs: dict[str, Any] = {}
        self._result: TaskResult[Any] | None = None
        self._context: TaskContext | None = None
        self._given: CoreTask | None = None
        self._found: CoreTask | None = None
        self._surroundings: AbstractContextManager[Any] = _NOTHING
        self._lines: KeptLines | nullcontext[None] = _NOTHING
        #: Where its name is met here for the first time and is not known: now.
        self._unknown_since: datetime | None = None

    @property
    def timeout(self) -> float | None:
        """Seconds that this attempt may take, or None."""
        own: float | None = self.headers.get("timeout")
        return own if own is not None else self._options.timeout_of(self.task, self.claim.job)

    @property
    def deadline(self) -> float | None:
        """When it must have ended, by the monotonic clock; None while it waits, or where nothing limits it."""
        timeout = self.timeout
        return None if timeout is None or self.began_at is None else self.began_at + timeout

    def shown(self, text: str) -> str:
        """Return a text about this run as people may see it; results of other steps are among what is taken out."""
        if self.task is None:
            return without_secrets(self.claim.job, text)
        return text if (clean := self.cleaner()) is None else clean(text)

    def cleaner(self) -> Clean | None:
        """Return what does so for many texts; None where there is nothing to take out."""
        if self.task is None or self._result is None or not hides(self.task):
            return None
        return call_cleaner(self.task, self._result.args, self._result.kwargs)

    def run(self) -> Outcome:
        """Run an ordinary function here; a coroutine function too, in a loop of its own."""
        if (early := self.prepare()) is not None:
            return early
        assert self._context is not None
        with in_context(self._context), self._surroundings:
            return self._run()

    def _run(self) -> Outcome:
        assert self.task is not None
        if self.stopped_by is not None:
            # It was stopped while it waited here for its turn.
            return self.stopped(self.stopped_by)
        self._tell(signals.task_started)
        try:
            self._begin()
            with self._lines:
                self._restore()
                value = self.task.call(*self._args, **self._kwargs)
        except self._propagate:
            raise
        except BaseException as exc:
            return self._end(self._failed(exc))
        return self._end(self._succeeded(value))

    async def arun(self) -> Outcome:
        """Run a coroutine function in the running loop."""
        if self.task is None:
            if (early := self._read()) is None and self.headers:
                early = await in_thread(self._ask_followers)
            if early is not None:
                return await in_thread(self._leave_early, early)
            self._fill()
        assert self._context is not None
        with in_context(self._context), self._surroundings:
            return await self._arun()

    async def _arun(self) -> Outcome:
        assert self.task is not None
        if self.stopped_by is not None:
            return await self._aend(self._failed(self.stopped_by))
        await self._atell(signals.task_started)
        try:
            value = await self._acall(self.task)
        except BaseException as exc:
            return await self._aend(self._failed(exc))
        return await self._aend(self._succeeded(value))

    async def _acall(self, task: CoreTask) -> Any:
        """Run the task's own code: what is to cancel it reaches this, and nothing that follows."""
        self._begin()
        self.may_be_cancelled = True
        try:
            with self._lines:
                await self._arestore()
                return await task.acall(*self._args, **self._kwargs)
        finally:
            self.may_be_cancelled = False
            await drop_cancellation()

    def _restore(self) -> None:
        """Give the arguments the types that the task's annotations ask for; it may ask a database."""
        assert self.task is not None
        if (converter := converter_of(self.task)) is not None:
            first = int(self.task.takes_context)
            args, self._kwargs = converter.restored(self._args[first:], self._kwargs)
            self._args[first:] = args

    async def _arestore(self) -> None:
        converter = converter_of(self.task)
        if converter is not None:
            await in_thread(self._restore) if converter.asks_database else self._restore()

    def _begin(self) -> None:
        if self.stopped_by is not None:
            # A receiver may have caught what was raised to stop it, and a coroutine is not cancelled before its own code.
            raise self.stopped_by
        self.began_at = time.monotonic()
        if self.on_begin is not None:
            self.on_begin(self)

    def stopped(self, reason: BaseException) -> Outcome:
        """Return what follows for a task that was ended from outside, for `reason`. It was prepared before."""
        self.stopped_by = reason
        try:
            raise reason
        except BaseException as exc:
            return self.fail(exc)

    def fail(self, exc: BaseException, *, is_final: bool = False) -> Outcome:
        """Return what follows when it failed after all: its success could not be committed, or `run` was left."""
        if self.task is None:
            # It was left while it was read: nobody has heard of it, and nothing is known that signals could tell.
            return self._follow_early(self.give_up(exc))
        return self._end(self._failed(exc, is_final=is_final))

    def give_up(self, exc: BaseException) -> Outcome:
        """Return what follows where not even `fail` can say it, by the claim alone. Tells nobody, and never raises."""
        is_cancelled = isinstance(self.stopped_by, TaskCancelled)
        return bare_outcome(self.claim, self._options, exc, self.task or self._found, is_cancelled=is_cancelled)

    def tell_success(self) -> None:
        """Tell of the success that was held back."""
        assert self._context is not None
        with in_context(self._context):
            self._tell(signals.task_finished)

    def use(self, task: CoreTask) -> None:
        """Run this very task, without looking its name up: the caller has it in hand."""
        self._given = task

    def prepare(self) -> Outcome | None:
        """Find the task and decode its arguments; return an outcome where it cannot be run. Once is enough."""
        if self.task is not None:
            return None
        if (early := self._read()) is None and self.headers:
            early = self._ask_followers()
        if early is None:
            self._fill()
            return None
        return self._leave_early(early)

    def follow(self, outcome: Outcome) -> Outcome:
        """Let those who follow this job hear of a final outcome before it is settled; return the one to settle."""
        if not self.headers or self.in_transaction and not isinstance(outcome, Succeeded):
            # A failure is rolled back, and would take what was recorded of it along: it is told afterwards.
            return outcome
        told = followers.ended(self.headers, outcome, in_transaction=self.in_transaction)
        return told if told is outcome else self._with_log(told)

    def _leave_early(self, outcome: Outcome) -> Outcome:
        if self._unknown_since is not None and self._annotate is not None:
            unknown_names.mark(self.claim, self._unknown_since, self._annotate)
        return self._follow_early(outcome) if isinstance(outcome, Failed) else outcome

    def _follow_early(self, outcome: Outcome) -> Outcome:
        # By its payload: it may not have been read as far as its headers.
        return followers.all_ended([outcome])[0]

    def _ask_followers(self) -> Outcome | None:
        known = followers.begin(self.claim, self.headers, self._args, self._kwargs)
        if known is not None:
            return known
        assert self._found is not None
        try:
            # They may have changed the arguments.
            self._result = fill_result(self.claim.job, self._found, self._args, self._kwargs)
        except RecursionError as exc:
            return Failed(claim=self.claim, attempt=attempt_of(self.claim, exc))
        return None

    def _read(self) -> Outcome | None:
        job = self.claim.job
        try:
            self._found = self._given or task_of(job)
            self._args, self._kwargs, self.headers = decode_call(job.payload)
            _check_timeout(self.headers.get("timeout"))
            self._surroundings = carriers.unpack(self.headers)
            self._result = fill_result(job, self._found, self._args, self._kwargs)
        except TaskNotFound as exc:
            outcome, self._unknown_since = unknown_names.outcome_of(self.claim, exc, self._options.unknown_task_ttl)
            return outcome
        except (SerializationFailed, RecursionError) as exc:
            logger.error("Task id=%s path=%s failed: %s", job.id, job.name, exc)
            return Failed(claim=self.claim, attempt=attempt_of(self.claim, exc))
        return None

    def _fill(self) -> None:
        assert self._found is not None
        self.task = self._found
        self._context = TaskContext(
            task_result=self._result,
            annotate=self._save,
            stopped_by=lambda: self.stopped_by,
            scheduled_for=scheduled_for(self.headers),
        )
        if self.task.takes_context:
            self._args = [self._context, *self._args]
        if self.keeps_log and (most := self._options.log_lines):
            self._lines = KeptLines(len(self.claim.job.history) + 1, most, self._options.log_level)

    def _succeeded(self, value: Any) -> _Ending:
        job = self.claim.job
        if self.stopped_by is not None:
            # It was told to stop and ended at the same moment. What was promised to whoever stopped it holds.
            return self._failed(self.stopped_by)
        try:
            text = "null" if value is None else dumps(value, f"The return value of {job.name}")
            shown = value if isinstance(value, _PLAIN) else json.loads(text)
        except self._propagate:
            raise
        except BaseException as exc:
            # Code of the value's own runs here; and what JSON cannot hold it will not hold the next time.
            return self._failed(exc, is_final=isinstance(exc, SerializationFailed))
        result = self._ended(TaskStatus.SUCCESS)
        object.__setattr__(result, "_return_value", shown)
        return _Ending(Succeeded(claim=self.claim, result=text), signals.task_finished)

    def _failed(self, exc: BaseException, *, is_final: bool = False) -> _Ending:
        if self.stopped_by is not None:
            exc = _because(self.stopped_by, exc)
        elif isinstance(exc, Retry):
            exc = self._asked_in_vain(exc)
        if isinstance(exc, InstanceMissing):
            if getattr(self.task, "on_missing", "fail") == "skip":
                words = self.shown(str(exc))
                logger.warning("Task id=%s path=%s is skipped: %s", self.claim.job.id, self.claim.job.name, words)
                return self._succeeded(None)
            # It will not come back.
            is_final = True
        attempt = attempt_of(self.claim, exc)
        assert self._result is not None
        self._result.errors.append(TaskError(exception_class_path=attempt.exception, traceback=attempt.traceback))
        if isinstance(exc, TaskCancelled) and self.stopped_by is not None:
            self._ended(TaskStatus.CANCELLED)
            return _Ending(Cancelled(claim=self.claim, attempt=attempt), signals.task_finished)
        # A backoff is told of the failure as it stands: the task as failed, this error among its errors.
        result = self._ended(TaskStatus.FAILURE)
        delay = None if is_final else self._delay_after(exc)
        if delay is None:
            return _Ending(Failed(claim=self.claim, attempt=attempt), signals.task_finished)
        object.__setattr__(result, "status", TaskResultStatus.READY)
        object.__setattr__(result, "state", TaskStatus.RETRY)
        object.__setattr__(result, "finished_at", None)
        return _Ending(Retrying(claim=self.claim, attempt=attempt, delay=delay), signals.task_retried, {"delay": delay})

    def _asked_in_vain(self, exc: Retry) -> BaseException:
        """Return what a task failed by that asks for another attempt: where this was the last one, that there is none."""
        job, number = self.claim.job, self.claim.job.failures + 1
        assert self.task is not None
        if number < self._options.retry_policy(self.task, job).max_attempts:
            return exc
        failure = MaxRetriesExceeded(f"{job.name} asked to be run again, but attempt {number} was its last.")
        failure.__cause__ = exc
        return failure

    # Both are called while the exception is being handled, so that a receiver may log it.

    def _end(self, ending: _Ending) -> Outcome:
        self._save_changes()
        if not (self.holds_success_back and isinstance(ending.outcome, Succeeded)):
            self._tell(ending.signal, **ending.facts)
        return self.follow(self._with_log(ending.outcome))

    async def _aend(self, ending: _Ending) -> Outcome:
        if self._has_changes():
            await in_thread(self._save_changes)
        await self._atell(ending.signal, **ending.facts)
        outcome = self._with_log(ending.outcome)
        return await in_thread(self.follow, outcome) if self.headers else outcome

    def _with_log(self, outcome: Outcome) -> Outcome:
        """Return an outcome with what the task has logged so far."""
        text = self._lines.text() if isinstance(self._lines, KeptLines) else None
        return outcome if text is None or isinstance(outcome, Released) else replace(outcome, log=text)

    def _tell(self, signal: Signal, **facts: Any) -> None:
        with guarded(self.claim.job.id, self.cleaner, self._is_to_stop):
            with_raised_hidden(
                self.cleaner, partial(signal.send_robust, self._sender, task_result=self._result, **facts)
            )

    def _is_to_stop(self, exc: BaseException) -> bool:
        """Return whether an exception that came out of receivers is none of theirs: it is to stop the task, or the caller."""
        return isinstance(exc, self._propagate) or type(exc) is type(self.stopped_by)

    async def _atell(self, signal: Signal, **facts: Any) -> None:
        # Not asend_robust: its receivers do not see the exception that is being handled.
        await in_thread(self._tell, signal, **facts)

    def _delay_after(self, exc: BaseException) -> float | None:
        job, failures = self.claim.job, self.claim.job.failures + 1
        assert self.task is not None
        policy = self._options.retry_policy(self.task, job)
        try:
            return policy.delay_after(exc, failures, self._result)
        except self._propagate:
            raise
        except BaseException:
            words = "Task id=%s path=%s: its backoff failed; the default one is used."
            log_exception(words, job.id, job.name, cleaner=self.cleaner)
            default = replace(policy, backoff=RetryStrategy.exponential_backoff())
            # What a Retry asked for may be what failed.
            return default.delay_after(Retry() if isinstance(exc, Retry) else exc, failures, self._result)

    def _ended(self, state: TaskStatus) -> TaskResult[Any]:
        assert self._result is not None
        object.__setattr__(self._result, "finished_at", datetime.now(UTC))
        object.__setattr__(self._result, "status", state.django)
        object.__setattr__(self._result, "state", state)
        return self._result

    def _save(self, metadata: dict[str, Any], progress: Progress | None) -> None:
        dumps([metadata, progress], f"The metadata of {self.claim.job.name}")
        if self._annotate is not None:
            self._annotate(self.claim, metadata, progress)

    def _has_changes(self) -> bool:
        if self._result is None or self._annotate is None:
            return False
        try:
            return bool(self._result.metadata != self.claim.job.metadata)
        except self._propagate:
            raise
        except BaseException:
            # The == of some values raises, as an array's does. Whoever saves them tells what is wrong with them.
            return True

    def _save_changes(self) -> None:
        """Save what the task changed in its metadata and did not save itself."""
        if not self._has_changes():
            return
        assert self._result is not None
        try:
            self._save(self._result.metadata, self._result.progress)
        except self._propagate:
            raise
        except BaseException:
            words = "Task id=%s path=%s: its metadata could not be saved."
            log_exception(words, self.claim.job.id, self.claim.job.name, cleaner=self.cleaner)


def _because(reason: BaseException, exc: BaseException) -> BaseException:
    """Return the reason for which a task was stopped, raised from what it was doing."""
    if exc is not reason and not isinstance(exc, type(reason)):
        reason.__cause__ = exc
        return reason
    return exc


def _check_timeout(seconds: Any) -> None:
    # A worker's loop reckons with it: one that is no number, or one too large for a float, would end the whole worker.
    if seconds is not None and (type(seconds) not in (int, float) or not abs(seconds) <= sys.float_info.max):
        raise SerializationFailed(
            f"The stored arguments are damaged: their timeout is no number of seconds: {seconds!r}."
        )
