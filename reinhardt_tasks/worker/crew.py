"""Who runs the tasks of a worker: threads for ordinary functions, and an event loop once there is a coroutine to run."""

from __future__ import annotations

from collections.abc import Collection

from ..brokers.base import Broker
from ..execution import Execution
from .config import WorkerConfig
from .loop import Loop
from .threads import Ended, Threads


class Crew:
    """The places for `concurrency` functions and `async_concurrency` coroutines. `ended` is called in theirs."""

    def __init__(self, config: WorkerConfig, broker: Broker, ended: Ended) -> None:
        self.threads = Threads(config.concurrency, broker, ended)
        self._loop: Loop | None = None
        self._size = config.async_concurrency
        self._ended = ended

    def put(self, functions: Collection[Execution], coroutines: Collection[Execution]) -> None:
        """Have them run as soon as there is a place."""
        if coroutines:
            self._loop = self._loop or Loop(self._size, self._ended)
            self._loop.put(coroutines)
        if functions:
            self.threads.put(functions)

    def coroutines(self) -> list[Execution]:
        """Return the coroutines that run."""
        return [] if self._loop is None else self._loop.running()

    def stop(self, execution: Execution, reason: BaseException) -> bool:
        """Stop what runs this, as `Threads.stop` and `Loop.stop` do; False where nobody does."""
        if self.threads.stop(execution, reason):
            return True
        return self._loop is not None and self._loop.stop(execution, reason)

    def take_back(self) -> list[Execution]:
        """Return what has not been started, and will not be."""
        return self.threads.take_back() + ([] if self._loop is None else self._loop.take_back())

    def close(self) -> None:
        self.threads.close()
        if self._loop is not None:
            self._loop.close()
