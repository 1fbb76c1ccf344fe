"""A scheduler beside something else, in a thread: for sites that are too small for a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .scheduler import Scheduler


@contextmanager
def scheduler_beside(is_wanted: bool) -> Iterator[None]:
    """Run a scheduler while this lasts, if it is wanted."""
    if not is_wanted:
        yield
        return
    scheduler = Scheduler()
    thread = threading.Thread(target=scheduler.run, name="reinhardt-scheduler", daemon=True)
    thread.start()
    try:
        yield
    finally:
        scheduler.shutdown()
        thread.join(timeout=5)
