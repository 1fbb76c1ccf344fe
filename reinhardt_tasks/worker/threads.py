"""Threads in which ordinary functions run."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from collections.abc import Callable, Collection

from ..brokers.base import Broker
from ..exception_text import log_exception
from ..execution import Execution
from ..jobs import Outcome
from .atomic import run_atomically
from .connections import tidy_connections
from .last_resort import outcome_after
from .lines import emptied

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
        return [execution for _, execution in emptied(self._line)]

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
            outcome = outcome_after(execution, exc)
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
