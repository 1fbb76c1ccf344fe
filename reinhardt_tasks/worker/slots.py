"""Where tasks run: threads for ordinary functions, one event loop for coroutine functions."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextvars import Context
from typing import TypeVar

from ..awaiting import in_thread
from ..brokers.base import Broker
from ..exception_text import log_exception
from ..exceptions import ExecutionFailed
from ..execution import Execution
from ..jobs import Outcome, Released, Succeeded
from .connections import tidy_connections

T = TypeVar("T")

#: Told of a task that has ended: its execution, its outcome (None: it is settled already), the seconds that it took.
Ended = Callable[[Execution, "Outcome | None", float], None]


class _Slot:
    """A thread, and what it runs just now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.execution: Execution | None = None
        self.ident: int | None = None


class Threads:
    """A fixed number of threads that take executions from one line, first come first served."""

    def __init__(self, size: int, broker: Broker, ended: Ended) -> None:
        self.size = size
        self._broker = broker
        self._ended = ended
        self._line: deque[tuple[float, Execution]] = deque()
        self._news = threading.Condition()
        self._idle = 0
        self._closed = False
        self._slots = [_Slot() for _ in range(size)]
        for number, slot in enumerate(self._slots):
            threading.Thread(target=self._serve, args=(slot,), name=f"reinhardt-task-{number}", daemon=True).start()

    def put(self, executions: Collection[Execution]) -> None:
        now = time.monotonic()
        with self._news:
            self._line.extend((now, execution) for execution in executions)
            self._news.notify(min(self._idle, len(executions)))

    def take_back(self) -> list[Execution]:
        """Return what has not been started, and will not be."""
        return [execution for _, execution in _emptied(self._line)]

    def waits_since(self) -> float | None:
        """Return since when the first of the line waits, by the monotonic clock; None where the line is empty."""
        try:
            return self._line[0][0]
        except IndexError:
            return None

    def waiting(self) -> int:
        return len(self._line)

    def running(self) -> list[Execution]:
        return [execution for slot in self._slots if (execution := slot.execution) is not None]

    def task_of(self, ident: int) -> Execution | None:
        """Return what the thread of this number runs."""
        return next((slot.execution for slot in self._slots if slot.ident == ident), None)

    def stop(self, execution: Execution, reason: BaseException) -> bool:
        """Raise the kind of `reason` in the thread that runs this, at its next bytecode; False where none runs it.

        A thread that is inside of C code, or sleeps, is not reached before it comes back.
        """
        for slot in self._slots:
            with slot.lock:
                if slot.execution is execution and slot.ident is not None:
                    execution.stopped_by = reason
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(slot.ident), ctypes.py_object(type(reason))
                    )
                    return True
        return False

    def close(self) -> None:
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _serve(self, slot: _Slot) -> None:
        slot.ident = threading.get_ident()
        while not self._closed:
            try:
                if (execution := self._next()) is not None:
                    self._run(slot, execution)
            except BaseException:
                # A thread that died would be missed for ever.
                log_exception("Something was left undone after a task; its thread goes on.")

    def _next(self) -> Execution | None:
        """Return the first of the line; None after waiting for one that may have come."""
        try:
            return self._line.popleft()[1]
        except IndexError:
            pass
        with self._news:
            if not self._line and not self._closed:
                self._idle += 1
                try:
                    self._news.wait()
                finally:
                    self._idle -= 1
        return None

    def _run(self, slot: _Slot, execution: Execution) -> None:
        began = time.perf_counter()
        outcome: Outcome | None
        try:
            try:
                with slot.lock:
                    slot.execution = execution
                outcome = self._outcome(execution)
            finally:
                # From here on nobody may raise in this thread; what was raised a moment ago arrives at the latest below.
                with slot.lock:
                    slot.execution = None
        except BaseException as exc:
            # Not the task's exception, which its execution has caught: one that was to stop it and came too late.
            outcome = _after(execution, exc)
        try:
            tidy_connections(interrupted=execution.stopped_by is not None)
        finally:
            self._ended(execution, outcome, time.perf_counter() - began)

    def _outcome(self, execution: Execution) -> Outcome | None:
        if (early := execution.prepare()) is not None:
            return early
        if getattr(execution.task, "atomic", False):
            return run_atomically(execution, self._broker)
        return execution.run()


def _after(execution: Execution, exc: BaseException) -> Outcome:
    """Return the outcome of an execution that was left by an exception. Never raises."""
    reason = execution.stopped_by or exc
    try:
        return execution.fail(reason)
    except BaseException:
        words = "Task id=%s: its end could not be told, and is recorded all the same."
        log_exception(words, execution.claim.job.id, cleaner=execution.cleaner)
        return execution.give_up(reason)


class _RollBack(Exception):
    """Leaves the transaction of an atomic task without its success."""


def run_atomically(execution: Execution, broker: Broker) -> Outcome | None:
    """Run a task in one transaction with the record of its success; return None where that is settled.

    Its success is told when it is committed, and only then. Where the store was away before the task began, that is no
    attempt of the task.
    """
    outcome: Outcome | None = None
    execution.holds_success_back = True
    try:
        execution.in_transaction = True
        try:
            with broker.transaction():
                outcome = execution.run()
                if not isinstance(outcome, Succeeded):
                    raise _RollBack
                if broker.settle([outcome]):
                    # Somebody else holds this task by now: its effects are theirs to make. Its fence refuses our success again.
                    raise _RollBack
        finally:
            execution.in_transaction = False
    except _RollBack:
        return outcome if outcome is None or isinstance(outcome, Succeeded) else execution.follow(outcome)
    except NotImplementedError as exc:
        return execution.fail(ExecutionFailed(f"atomic=True needs a database backend: {exc}"), is_final=True)
    except Exception as exc:
        if execution.began_at is None:
            return Released(claim=execution.claim)
        # The commit failed, or its answer was lost. If it did happen, what follows here is refused by its fence.
        return execution.fail(exc)
    execution.tell_success()
    # To those whose records lie in another database; others have it on record already.
    execution.follow(outcome)
    return None


class Loop:
    """An event loop in a thread of its own, for coroutine functions."""

    def __init__(self, size: int, ended: Ended) -> None:
        self.size = size
        self._ended = ended
        self._line: deque[Execution] = deque()
        self._tasks: dict[Execution, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._closed = False
        threading.Thread(target=self._serve, name="reinhardt-loop", daemon=True).start()

    def put(self, executions: Collection[Execution]) -> None:
        if executions:
            self._line.extend(executions)
            self._loop.call_soon_threadsafe(self._start)

    def take_back(self) -> list[Execution]:
        """Return what has not been started, and will not be."""
        return _emptied(self._line)

    def running(self) -> list[Execution]:
        return list(self._tasks)

    def stop(self, execution: Execution, reason: BaseException) -> bool:
        """Cancel the coroutine that runs this; False where none does."""
        if execution not in self._tasks:
            return False
        self._loop.call_soon_threadsafe(self._cancel, execution, reason)
        return True

    def close(self) -> None:
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closed:
            try:
                self._loop.run_forever()
            except BaseException:
                # A task of the task's own raised SystemExit or KeyboardInterrupt, which asyncio lets through.
                log_exception("The event loop was left; it goes on.")

    def _start(self) -> None:
        while self._line and len(self._tasks) < self.size:
            try:
                execution = self._line.popleft()
            except IndexError:
                return
            # Each in a context of its own: what one sets, another must not see. Not by `create_task`, whose factory is anybody's.
            self._tasks[execution] = asyncio.Task(self._run(execution), loop=self._loop, context=Context())

    def _cancel(self, execution: Execution, reason: BaseException) -> None:
        if execution in self._tasks:
            execution.stopped_by = execution.stopped_by or reason
            # Before its own code it heeds that by itself; afterwards there is nothing to stop, but an outcome to be handed in.
            if execution.may_be_cancelled:
                self._tasks[execution].cancel()

    async def _run(self, execution: Execution) -> None:
        began = time.perf_counter()
        try:
            outcome = await execution.arun()
        except BaseException as exc:
            outcome = await _aafter(execution, exc)
        seconds = time.perf_counter() - began
        try:
            # The ORM of coroutines works in one thread, which all of them share.
            await in_thread(tidy_connections)
        finally:
            self._tasks.pop(execution, None)
            try:
                self._ended(execution, outcome, seconds)
            finally:
                self._start()


async def _aafter(execution: Execution, exc: BaseException) -> Outcome:
    """Do as `_after`, whoever may cancel it."""
    try:
        # It may ask a database.
        return await in_thread(_after, execution, exc)
    except BaseException:
        return execution.give_up(execution.stopped_by or exc)


def _emptied(line: deque[T]) -> list[T]:
    back = []
    while True:
        try:
            back.append(line.popleft())
        except IndexError:
            return back
