"""Sleeps in the store for an idle consumer, which itself sleeps for what ends here."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from ..brokers.base import Broker, Kinds, Queues
from ..exceptions import QueueError

logger = logging.getLogger("reinhardt_tasks")

#: Seconds of one sleep in the store; it may end earlier. Each begins with a look at what is there.
NAP = 60.0


class Listener:
    """Calls `heard` with the kinds of which something may be ready, once for each `listen()`."""

    def __init__(self, broker: Broker, queues: Queues, heard: Callable[[Kinds], None]) -> None:
        self._broker = broker
        self._queues = queues
        self._heard = heard
        #: What is listened for; () is nothing.
        self._kinds: Kinds = ()
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="reinhardt-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def listen(self, kinds: Kinds) -> None:
        """Ask to be told when something of these kinds may be ready."""
        with self._lock:
            if self.listens_for(kinds):
                return
            is_asleep, self._kinds = self._wanted.is_set(), kinds
            self._wanted.set()
        if is_asleep:
            # It sleeps for one kind, and has to for the other too.
            self._broker.wake()

    def listens_for(self, kinds: Kinds) -> bool:
        return self._wanted.is_set() and set(kinds) <= set(self._kinds)

    def close(self) -> None:
        self._closed = True
        self._wanted.set()
        self._broker.wake()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while not self._closed:
            self._wanted.wait()
            kinds = self._kinds
            if not self._closed and self._may_be_ready(kinds) and self._is_done(kinds):
                self._heard(kinds)
        self._broker.close()

    def _may_be_ready(self, kinds: Kinds) -> bool:
        """Sleep in the store; return whether the consumer is to look."""
        try:
            return self._broker.wait(self._queues, NAP, kinds)
        except QueueError:
            # The consumer, which meets the same, has a word about it.
            self._pause()
            return False
        except Exception:
            logger.exception("Listening for tasks failed; it goes on.")
            self._pause()
            # The store may be well: a look costs little, and whoever hears nothing for good would claim nothing more.
            return True

    def _is_done(self, kinds: Kinds) -> bool:
        """Listen no more; return False where it was woken to listen for others than these."""
        with self._lock:
            if kinds == self._kinds:
                self._wanted.clear()
            return kinds == self._kinds

    def _pause(self) -> None:
        threading.Event().wait(0.5 + random.random())  # noqa: S311
