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
from .worker import Worker


def serve_child(
    broker: Broker, options: BackendOptions, sender: type, config: WorkerConfig, link: Link, board: Board
) -> Worker:
    """Run a worker until it ends or is told to, and tell the supervisor why it ended."""
    worker: Worker

    def told(message: dict[str, Any]) -> None:
        if "drain" in message:
            worker.drain(message["drain"])

    heartbeat = SupervisedHeartbeat(
        link,
        board,
        turns=lambda: worker.turns,
        told=told,
        # Without a supervisor nobody keeps the lease: what runs is ended or given back, and nothing is claimed any more.
        orphaned=lambda: worker.stop(),
        fat=lambda: worker.stop(),
        max_bytes=config.max_memory,
    )
    worker = Worker(broker, options, sender, config, heartbeat)
    with signals_handled(worker):
        worker.run()
    link.tell(bye="done" if config.burst and not worker.is_told_to_stop else "stopped")
    if worker.was_forced:
        # Threads that still run a task would keep the process; what they run was given back, or settled by the supervisor.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return worker
