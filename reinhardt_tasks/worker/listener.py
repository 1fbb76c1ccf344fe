"""Sleeps in the store for an idle consumer, which itself sleeps for what ends here."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from ..brokers.base import Broker, Queues
from ..exceptions import QueueError

logger = logging.getLogger("reinhardt_tasks")

#: Seconds of one sleep in the store; it may end earlier.
NAP = 10.0


class Listener:
    """Calls `heard` when something may be ready, once for each `listen()`."""

    def __init__(self, broker: Broker, queues: Queues, heard: Callable[[], None]) -> None:
        self._broker = broker
        self._queues = queues
        self._heard = heard
        self._wanted = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="reinhardt-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def listen(self) -> None:
        """Ask to be told when something may be ready."""
        self._wanted.set()

    def close(self) -> None:
        self._closed = True
        self._wanted.set()
        self._broker.wake()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while not self._closed:
            self._wanted.wait()
            try:
                if not self._closed and self._broker.wait(self._queues, NAP):
                    self._wanted.clear()
                    self._heard()
            except QueueError:
                # The consumer, which meets the same, has a word about it.
                self._pause()
            except Exception:
                logger.exception("Listening for tasks failed; it goes on.")
                self._pause()
        self._broker.close()

    def _pause(self) -> None:
        threading.Event().wait(0.5 + random.random())  # noqa: S311
