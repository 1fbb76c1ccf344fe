"""How a worker works; each of these is a flag of `runworker`."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from ..brokers.base import WorkerInfo
from ..jobs import new_id
from ..options import BackendOptions
from ..queues import is_queue_name, no_queue_name
from ..texts import storable
from .order import QueueOrder

#: Seconds. Without any between two looks, an idle worker would take a core for itself.
SHORTEST_POLL = 0.01


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """What a worker is told at its start. Times are in seconds, memory is in bytes.

    Raise ValueError for fewer than one thread, coroutine, task or byte, for a time below 0, for a `poll_interval` below 0.01,
    and for what no queue can be called.
    """

    name: str = "worker"
    #: Ordinary functions at one time, each in a thread.
    concurrency: int = 4
    #: Coroutine functions at one time, all on one event loop.
    async_concurrency: int = 250
    #: An idle worker looks for work this often in a store that does not tell it; see `Broker.poll_interval`.
    poll_interval: float = 1.0
    #: The queues to serve; None is all.
    queues: tuple[str, ...] | None = None
    #: How several queues are asked; by default as one.
    order: QueueOrder | None = None
    #: Leave when nothing is ready any more.
    burst: bool = False
    #: Leave after this many tasks were run here; under a supervisor another process takes its place.
    max_tasks: int | None = None
    #: Leave, when what runs has ended, once this process has more than this many bytes; under a supervisor another takes its place.
    max_memory: int | None = None
    #: Time for running tasks to end when the worker is told to stop; then they are given back.
    shutdown_timeout: float = 30.0
    #: Unique to this process's life.
    id: str = field(default_factory=lambda: new_worker_id())

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("async_concurrency", 1), ("max_tasks", 1), ("max_memory", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be {least} or more, not {value}.")
        for name, shortest in (("poll_interval", SHORTEST_POLL), ("shutdown_timeout", 0)):
            if not getattr(self, name) >= shortest:
                raise ValueError(f"{name} must be {shortest} or more seconds, not {getattr(self, name)}.")
        for queue in self.queues or ():
            if not is_queue_name(queue):
                raise ValueError(no_queue_name(queue))


def new_worker_id() -> str:
    """Return an id for one life of one worker process: who reads it learns where that was."""
    return f"{storable(socket.gethostname())[:80]}:{os.getpid()}:{new_id()[-12:]}"


def worker_info(config: WorkerConfig, options: BackendOptions) -> WorkerInfo:
    """Return the worker as it signs in."""
    return WorkerInfo(
        id=config.id,
        name=config.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        slots=config.concurrency,
        queues=config.queues or (),
        # What a dead worker held runs again within the lease: most of it is spent waiting for a sign of life, the rest is
        # for those who look (see maintenance).
        lease=0.8 * options.lease,
    )
