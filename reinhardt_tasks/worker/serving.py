"""A worker as the child of a supervisor: from the fork to its last word."""

from __future__ import annotations

import os
import sys
from typing import Any

from ..brokers.base import Broker
from ..options import BackendOptions
from .board import Board
from .child import SupervisedHeartbeat
from .config import WorkerConfig
from .link import Link
from .signals import signals_handled
from .tally import Tally
from .worker import Worker


def serve_child(
    broker: Broker,
    options: BackendOptions,
    sender: type,
    config: WorkerConfig,
    link: Link,
    board: Board,
    tally: Tally | None = None,
) -> Worker:
    """Run a worker until it ends or is told to, and tell the supervisor why it ended."""
    worker: Worker

    def counted() -> dict[str, Any]:
        return {} if tally is None else {"counted": tally.take(), "load": worker.load()}

    def orphaned() -> None:
        # What runs is ended or given back, under a lease that nobody else keeps any more; nothing is claimed.
        worker.keep_own_lease()
        worker.wind_down()

    heartbeat = SupervisedHeartbeat(
        link,
        board,
        turns=lambda: worker.turns,
        told=lambda message: _obey(worker, message),
        orphaned=orphaned,
        fat=lambda: worker.leave_when_done(),
        max_bytes=config.max_memory,
        counted=counted,
    )
    worker = Worker(broker, options, sender, config, heartbeat, tally)
    # A terminal and a service manager send a signal to all processes, and the supervisor passes it on: it is still one.
    with signals_handled(worker, stop=worker.wind_down):
        worker.run()
    is_done = config.burst and not worker.is_told_to_stop and not worker.has_had_enough
    link.tell(bye="forced" if worker.was_forced else "done" if is_done else "stopped", **counted())
    if worker.was_forced:
        # Threads that still run a task would keep the process; what they run was given back, or settled by the supervisor.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return worker


def _obey(worker: Worker, message: dict[str, Any]) -> None:
    match message:
        case {"drain": job_id}:
            worker.drain(job_id)
        case {"stop": 1}:
            worker.wind_down()
        case {"stop": _}:
            worker.stop_at_once()
        case {"quiet": True}:
            worker.quiet()
        case {"quiet": False}:
            worker.resume()
        case {"stacks": _}:
            worker.dump_stacks()
