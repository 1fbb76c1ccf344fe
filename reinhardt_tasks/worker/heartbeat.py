"""The worker's sign of life, and what it brings back: what was taken from us, and what is to be stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..brokers.base import Broker, Pulse, WorkerInfo
from ..exceptions import QueueError
from .memory import weighed

logger = logging.getLogger("reinhardt_tasks")

#: Seconds between two heartbeats while something runs: a person who cancels a task should not wait longer.
BUSY_INTERVAL = 1.0


class Heartbeat:
    """Beats in a thread of its own. `held` tells what we believe to hold, `pulsed` is told what the store said of it."""

    def __init__(
        self,
        broker: Broker,
        worker: WorkerInfo,
        held: Callable[[], dict[str, int]],
        pulsed: Callable[[dict[str, int], Pulse], None],
    ) -> None:
        self._broker = broker
        self._worker = worker
        self._held = held
        self._pulsed = pulsed
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="reinhardt-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(timeout=5)

    def _beat(self) -> None:
        idle_interval = self._worker.lease / 3
        beat_at = time.monotonic() + idle_interval
        while not self._closing.wait(min(BUSY_INTERVAL, idle_interval)):
            if time.monotonic() < beat_at and not self._held():
                continue
            beat_at = time.monotonic() + idle_interval
            # What is claimed while the store answers is not in its answer.
            believed = self._held()
            try:
                self._pulsed(believed, self._broker.heartbeat(weighed(self._worker)))
            except QueueError as exc:
                logger.warning("The heartbeat did not get through: %s", exc)
            except Exception:
                logger.exception("The heartbeat failed; it goes on.")
        self._broker.close()
