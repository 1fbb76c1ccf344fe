"""How a worker works; each of these is a flag of `runworker`."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from ..jobs import new_id


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """What a worker is told at its start. Times are in seconds."""

    name: str = "worker"
    #: Ordinary functions at one time, each in a thread.
    concurrency: int = 4
    #: Coroutine functions at one time, all on one event loop.
    async_concurrency: int = 100
    #: An idle worker looks for work this often in a store that does not tell it; see `Broker.poll_interval`.
    poll_interval: float = 1.0
    #: The queues to serve; None is all.
    queues: tuple[str, ...] | None = None
    #: Leave when nothing is ready any more.
    burst: bool = False
    #: Leave after this many tasks.
    max_tasks: int | None = None
    #: Time for running tasks to end when the worker is told to stop; then they are given back.
    shutdown_timeout: float = 30.0
    #: Unique to this process's life.
    id: str = field(default_factory=lambda: f"{socket.gethostname()[:80]}:{os.getpid()}:{new_id()[-12:]}")

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("async_concurrency", 1), ("max_tasks", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be {least} or more, not {value}.")
        for name in ("poll_interval", "shutdown_timeout"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more seconds, not {getattr(self, name)}.")
