"""A worker in this process, for tests of what it does to results and receivers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from reinhardt_tasks.backends.base import ReinhardtBackend
from reinhardt_tasks.worker import Worker, WorkerConfig

#: Seconds for a worker to run a handful of tasks.
DEADLINE = 60


def work_off(backend: ReinhardtBackend, **config: Any) -> Worker:
    """Run all that is ready, or as `config` says, and return the worker that did. Fail where it finds no end."""
    told = WorkerConfig(**{"burst": True, "concurrency": 2, **config})
    worker = Worker(backend.broker, backend.settings, type(backend), told)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    if not thread.is_alive():
        return worker
    worker.stop()
    worker.stop()
    thread.join(DEADLINE)
    pytest.fail(f"The worker did not come to an end within {DEADLINE} s.")
