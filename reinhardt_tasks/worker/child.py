"""A worker process under a supervisor: its lease is kept by that, which also hears how it gets on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ..brokers.base import Pulse
from ..execution import Execution
from .board import Board
from .link import Link
from .memory import is_beyond

#: Seconds between two signs of progress.
INTERVAL = 1.0


class SupervisedHeartbeat:
    """Stands where a `Heartbeat` stands: the supervisor's pulses come over a link, and our progress goes back.

    `turns` counts the turns of the worker's loop: an unchanged number tells the supervisor that nothing moves any more.
    `told` is given every message that is not a pulse; `orphaned` is called when the supervisor is gone. `counted` is told
    along, for metrics.
    """

    def __init__(
        self,
        link: Link,
        board: Board,
        turns: Callable[[], int],
        told: Callable[[dict[str, Any]], None],
        orphaned: Callable[[], None],
        fat: Callable[[], None],
        max_bytes: int | None,
        counted: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._link = link
        self._board = board
        self._turns = turns
        self._told = told
        self._orphaned = orphaned
        self._fat = fat
        self._max_bytes = max_bytes
        self._counted = counted
        self._closing = threading.Event()
        self._held: Callable[[], dict[str, int]] = dict
        self._pulsed: Callable[[dict[str, int], Pulse], None] = lambda believed, pulse: None

    def connect(self, held: Callable[[], dict[str, int]], pulsed: Callable[[dict[str, int], Pulse], None]) -> None:
        self._held, self._pulsed = held, pulsed

    def start(self) -> None:
        threading.Thread(target=self._listen, name="reinhardt-link", daemon=True).start()
        threading.Thread(target=self._report, name="reinhardt-progress", daemon=True).start()

    def close(self) -> None:
        self._closing.set()

    def began(self, execution: Execution) -> None:
        """Note what runs; tell of a limit of time, so that its end can be seen to from outside."""
        self._board.put(execution.claim.job.id)
        if execution.deadline is not None:
            job = execution.claim.job
            self._link.tell(began=job.id, token=execution.claim.token, deadline=execution.deadline)

    def ended(self, execution: Execution) -> None:
        self._board.clear(execution.claim.job.id)
        if execution.deadline is not None:
            self._link.tell(ended=execution.claim.job.id, token=execution.claim.token)

    def _listen(self) -> None:
        # What we hold is asked for before the supervisor asks the store: what is claimed in between is not in its answer.
        believed, believed_at = self._held(), time.monotonic()
        for message in self._link.messages():
            if "held" in message:
                if message["asked"] < believed_at:
                    # We were slow to listen: since the store was asked we may have claimed something.
                    continue
                pulse = Pulse(
                    held=message["held"],
                    cancelled=frozenset(message["cancelled"]),
                    is_whole=message.get("whole", True),
                )
                self._pulsed({id_: token for id_, token in believed.items() if id_ in self._held()}, pulse)
                believed, believed_at = self._held(), time.monotonic()
            else:
                self._told(message)
        if not self._closing.is_set():
            self._orphaned()

    def _report(self) -> None:
        while not self._closing.wait(INTERVAL):
            self._link.tell(turns=self._turns(), at=time.monotonic(), running=len(self._held()), **self._counted())
            if is_beyond(self._max_bytes):
                # Told once, and progress is told on: what runs has its time.
                self._max_bytes = None
                self._fat()
