"""`wake()` and the waits that it ends: all that are going on in this process, or else the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Wakes:
    """Counts calls of `wake`, and keeps one for whoever sleeps next where nobody sleeps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._sleepers = 0
        self._is_owed = False

    def call(self, *, owes: bool = True) -> bool:
        """Note a call; return whether somebody sleeps. Unless it `owes` nothing, the next sleeper is woken where nobody is."""
        with self._lock:
            self._count += 1
            self._is_owed = owes and not self._sleepers
            return self._sleepers > 0

    @contextmanager
    def sleeping(self) -> Iterator[Callable[[], bool]]:
        """Sleep in this context; what it gives tells whether the sleep is over."""
        with self._lock:
            self._sleepers += 1
            before = self._count - self._is_owed
            self._is_owed = False
        try:
            yield lambda: self._count != before
        finally:
            with self._lock:
                self._sleepers -= 1
