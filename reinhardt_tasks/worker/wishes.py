"""What signals ask of a supervisor.

A handler only takes note, and the loop passes it on: it may interrupt anything, a fork too, and run in the child.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Wishes:
    """SIGTERM and SIGINT stop, a second one at once; SIGHUP stops to begin anew; SIGQUIT wants stacks; SIGTSTP quiets."""

    def __init__(self) -> None:
        self.stops = 0
        #: Whether it is to begin anew when it has stopped.
        self.is_reload = False
        self.is_quiet = False
        #: How often stacks were asked for.
        self.dumps = 0

    @contextmanager
    def heard(self) -> Iterator[int]:
        """Listen to the signals while this lasts; give the file descriptor that can be read when there was one."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        before = {number: signal.signal(number, handler) for number, handler in self._handlers().items()}
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handlers(self) -> dict[int, Callable[[int, Any], None]]:
        return {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGHUP: self._on_reload,
            signal.SIGQUIT: self._on_dump,
            signal.SIGTSTP: self._on_quiet,
            signal.SIGCONT: self._on_resume,
        }

    def _on_stop(self, number: int, frame: Any) -> None:
        if self.is_reload:
            self.is_reload = False
        else:
            self.stops += 1

    def _on_reload(self, number: int, frame: Any) -> None:
        if not self.stops:
            self.is_reload, self.stops = True, 1

    def _on_dump(self, number: int, frame: Any) -> None:
        self.dumps += 1

    def _on_quiet(self, number: int, frame: Any) -> None:
        self.is_quiet = True

    def _on_resume(self, number: int, frame: Any) -> None:
        self.is_quiet = False
