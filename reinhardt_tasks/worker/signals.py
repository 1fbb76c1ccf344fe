"""What a worker process does on the signals that people and process managers send."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .worker import Worker


@contextmanager
def signals_handled(worker: Worker, stop: Callable[[], None] | None = None) -> Iterator[None]:
    """Handle signals for `worker` while this lasts; `stop` is what SIGTERM and SIGINT do, where not the usual.

    SIGTERM and SIGINT stop it, a second one at once; SIGQUIT logs its stacks; SIGTSTP lets it claim no more, SIGCONT again.
    """
    if threading.current_thread() is not threading.main_thread():
        # The autoreloader runs us in a thread of its own, and ends the process itself.
        yield
        return
    actions: dict[str, Callable[[], None]] = {
        "SIGTERM": stop or worker.stop,
        "SIGINT": stop or worker.stop,
        "SIGQUIT": worker.dump_stacks,
        "SIGTSTP": worker.quiet,
        "SIGCONT": worker.resume,
    }
    before = {}
    for name, action in actions.items():
        if (number := getattr(signal, name, None)) is not None:
            before[number] = signal.signal(number, _calling(action))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _calling(action: Callable[[], None]) -> Callable[[int, Any], None]:
    return lambda number, frame: action()
