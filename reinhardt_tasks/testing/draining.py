"""Running what waits, here and now, by the code that a worker runs it with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async

from ..brokers.base import WorkerInfo
from ..exceptions import ExecutionFailed, TaskNotFound
from ..execution import Execution
from ..jobs import Claim, Failed, Outcome, TaskStatus
from ..log_capture import listening
from ..redaction import redacted_call
from ..registry import task_of
from ..results import TaskResult, result_of
from ..tracebacks import exception_line
from ..worker.atomic import run_atomically
from .broker import CapturedBroker
from .faults import Fault, Kind, fault_for, lose
from .transactions import run_callbacks, savepoints


class TasksFailed(AssertionError):
    """Tasks that were drained failed for good. `results` are theirs; the cause is the exception, or a group of them."""

    def __init__(self, message: str, results: Sequence[TaskResult[Any]]) -> None:
        super().__init__(message)
        self.results = list(results)


class _Watched(Execution):
    """Keeps the exception itself, for the test to see."""

    error: BaseException | None = None

    def _failed(self, exc: BaseException, *, is_final: bool = False) -> Any:
        self.error = exc
        return super()._failed(exc, is_final=is_final)


class _Dies(Exception):
    """Leaves the transaction of an atomic task whose worker dies in it."""


@dataclass(frozen=True)
class Delivery:
    """A job on its way through this process."""

    broker: CapturedBroker
    claim: Claim
    execution: _Watched
    worker: WorkerInfo
    fault: Fault | None


class Drain:
    """One call of `drain()`: what is to be run, how far that has come, and what it has brought."""

    def __init__(
        self, faults: list[Fault], *, queue_name: str | None, retries: bool, on_commit: bool, limit: int
    ) -> None:
        self._faults = faults
        self._queue = queue_name
        self._retries = retries
        self._on_commit = on_commit
        self._limit = limit
        self._runs: Counter[str] = Counter()
        self._seen: dict[str, CapturedBroker] = {}
        self._errors: dict[str, BaseException] = {}

    def next(self, captured: Mapping[str, CapturedBroker]) -> Delivery | None:
        """Return what is to be run now, or None where nothing is ready any more."""
        if self._on_commit:
            # These may enqueue on an alias that nobody has used before.
            run_callbacks()
        brokers = list(captured.values())
        while True:
            for broker in brokers:
                if (delivery := self._claim(broker)) is not None:
                    return delivery
            if not (self._retries and self._hurry(brokers)):
                return None

    def run(self, delivery: Delivery) -> Outcome | None:
        """Run a task in this thread; return its outcome, or None where that is settled, or told to nobody."""
        execution, kind = delivery.execution, delivery.fault and delivery.fault.kind
        if kind is Kind.AFTER_CLAIM:
            self._lose(delivery, None)
            return None
        if (early := execution.prepare()) is not None:
            return early
        is_atomic = getattr(execution.task, "atomic", False)
        with savepoints(lambda: execution.error), listening():
            if is_atomic and kind is not None:
                outcome = self._run_and_die(delivery)
            elif is_atomic:
                outcome = run_atomically(execution, delivery.broker)
            else:
                outcome = execution.run()
        if kind is None:
            return outcome
        self._lose(delivery, outcome if kind is Kind.TWICE else None)
        return None

    async def arun(self, delivery: Delivery) -> Outcome | None:
        """Run a task; a coroutine function in the running loop."""
        execution, kind = delivery.execution, delivery.fault and delivery.fault.kind
        if kind is Kind.AFTER_CLAIM or not _is_coroutine(delivery.claim):
            return await sync_to_async(self.run)(delivery)
        around = savepoints(lambda: execution.error)
        await sync_to_async(around.__enter__)()
        with listening():
            outcome = await execution.arun()
        await sync_to_async(around.__exit__)(None, None, None)
        if kind is None:
            return outcome
        self._lose(delivery, outcome if kind is Kind.TWICE else None)
        return None

    def ended(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Record what `run()` has returned."""
        if outcome is None:
            return
        if isinstance(outcome, Failed):
            error = delivery.execution.error
            self._errors[delivery.claim.job.id] = error or ExecutionFailed(outcome.attempt.traceback)
        delivery.broker.settle([outcome])

    def finish(self, raise_failures: bool) -> list[TaskResult[Any]]:
        """Return what was run, each task once, as it is now; raise TasksFailed where that is wanted and some failed."""
        results = [self._result(id_, broker) for id_, broker in self._seen.items()]
        failed = [result for result in results if result.state is TaskStatus.FAILURE]
        if raise_failures and failed:
            errors = [error for result in failed if (error := self._errors.get(result.id)) is not None]
            cause = errors[0] if len(errors) == 1 else BaseExceptionGroup("tasks failed", errors) if errors else None
            raise TasksFailed(_sentence(failed, len(results)), failed) from cause
        return results

    def _claim(self, broker: CapturedBroker) -> Delivery | None:
        if broker.uncommitted():
            raise RuntimeError(
                "drain() was called in a transaction in which tasks were enqueued: no worker sees them before it "
                "commits. Drain after the transaction."
            )
        options = broker.backend.settings
        worker = WorkerInfo(id=f"drain@{broker.backend.alias}", name="drain", lease=options.lease)
        claims = broker.claim(None if self._queue is None else [self._queue], 1, worker)
        if not claims:
            return None
        claim = claims[0]
        self._count(claim)
        self._seen.setdefault(claim.job.id, broker)
        execution = _Watched(claim, options, type(broker.backend), broker.annotate, propagate=(KeyboardInterrupt,))
        execution.keeps_log = True
        return Delivery(broker, claim, execution, worker, fault_for(claim, self._faults))

    def _count(self, claim: Claim) -> None:
        if self._runs.total() >= self._limit:
            often = ", ".join(f"{name} {number} times" for name, number in self._runs.most_common(3))
            raise AssertionError(
                f"drain() has run {self._limit} tasks, and there are more: {often}. Do they enqueue, or retry, one "
                "another for ever? drain(limit=…) allows for more."
            )
        self._runs[claim.job.name] += 1

    def _hurry(self, brokers: Sequence[CapturedBroker]) -> bool:
        """Make the retry that comes next ready now; return whether there was one."""
        later = [(job.due_at, job.id, broker) for broker in brokers for job in broker.retrying(self._queue)]
        if not later:
            return False
        _, id_, broker = min(later, key=lambda item: item[:2])
        return bool(broker.retry([id_]))

    def _run_and_die(self, delivery: Delivery) -> Outcome | None:
        outcome: Outcome | None = None
        # Nobody hears of what is rolled back.
        delivery.execution.holds_success_back = True
        try:
            with delivery.broker.transaction():
                outcome = delivery.execution.run()
                raise _Dies
        except _Dies:
            return outcome
        except NotImplementedError:
            return run_atomically(delivery.execution, delivery.broker)

    def _lose(self, delivery: Delivery, late: Outcome | None) -> None:
        lose(delivery.broker, delivery.claim, delivery.worker, late)

    def _result(self, id_: str, broker: CapturedBroker) -> TaskResult[Any]:
        job = broker.get([id_])[id_]
        return result_of(job, task_of(job))


def _is_coroutine(claim: Claim) -> bool:
    try:
        return iscoroutinefunction(task_of(claim.job).func)
    except TaskNotFound:
        return False


def _sentence(failed: Sequence[TaskResult[Any]], number: int) -> str:
    lines = [f"{len(failed)} of {number} tasks failed for good (drain(raise_failures=False) gives them as results):"]
    for result in failed:
        last = exception_line(result.errors[-1].traceback) if result.errors else ""
        tries = f"{result.attempts} attempt{'s' * (result.attempts != 1)}"
        lines.append(f"  {call_text(result)} after {tries}: {last}")
    return "\n".join(lines)


def call_text(result: TaskResult[Any]) -> str:
    """Return a task's call as one would write it, but for what nobody is to see."""
    call = redacted_call(result.task, result.args, result.kwargs)
    parts = [*map(repr, call.args), *(f"{name}={value!r}" for name, value in call.kwargs.items())]
    return f"{result.task.module_path}({', '.join(parts)})"
