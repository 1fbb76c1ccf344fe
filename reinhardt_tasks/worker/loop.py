"""The event loop in which coroutine functions run, by the hundred."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Collection
from contextvars import Context
from typing import Any

from ..awaiting import in_thread
from ..exception_text import log_exception
from ..execution import Execution
from .connections import tidy_connections
from .last_resort import aoutcome_after
from .lines import emptied
from .threads import Ended

#: Coroutines that were given back as they ran, for as long as this process lives. To collect one is to close it, and what it does
#: then (asgiref's sync_to_async sets context variables) would be done in the context of whatever task runs just then.
_left_running: list[asyncio.Task[Any]] = []


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
        return emptied(self._line)

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
        _left_running.extend(asyncio.all_tasks(self._loop))

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
            outcome = await aoutcome_after(execution, exc)
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
