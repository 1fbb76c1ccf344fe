"""How those who sleep hear that something may be ready: ears in this process, NOTIFY on PostgreSQL for all others."""

from __future__ import annotations

import threading
import time
from typing import Any

from ...exceptions import QueueError
from .ears import Ear, ear_of
from .session import Session, logger

#: A process that enqueues tells others at most once in so many seconds; see `PostgresqlEar.settle`.
QUIET = 0.02


class News:
    """What one broker tells, and who listens in this process. Safe with threads."""

    def __init__(self, session: Session, alias: str, *, notify: bool) -> None:
        #: How often `wake` was called; each ear knows how many of these it has heard.
        self.wakes = 0
        self._session = session
        self._notify = notify
        self._channel = f"reinhardt_tasks_{alias}"[:63]
        self._own = threading.local()
        self._ears: list[Ear] = []
        self._told_at = 0.0

    @property
    def is_notifying(self) -> bool:
        """Whether others are told, which takes a connection for each process that listens."""
        return self._notify and self._session.connection.vendor == "postgresql"

    def ear(self) -> Ear:
        """Return this thread's ear: two threads must not read one connection."""
        if not hasattr(self._own, "ear"):
            self._own.ear = ear_of(self._session, self._channel, notify=self._notify)
            self._ears.append(self._own.ear)
        ear: Ear = self._own.ear
        return ear

    def close_ear(self) -> None:
        """Give back what this thread's ear holds."""
        ear = getattr(self._own, "ear", None)
        if ear is not None:
            self._ears.remove(ear)
            del self._own.ear
            ear.close()

    def wake(self) -> None:
        """End every wait of this process, and the next one otherwise."""
        self.wakes += 1
        self.rouse()

    def rouse(self) -> None:
        """Let whoever sleeps in this process look; whoever is about to sleep looks anyway."""
        for ear in list(self._ears):
            ear.wake()

    def channel_if_due(self) -> str | None:
        """Return where an INSERT tells others of what it stores; None where it is not to tell.

        NOTIFY serialises commits, so one of many in a row is left out. A worker that was woken looks again a little after the
        silence that this makes (`PostgresqlEar.settle`), so nothing that was not told of stays unseen. In a transaction the
        silence says nothing about the moment of the commit: there each statement tells, and the database keeps one of the same.
        """
        if not self._notify:
            return None
        if not self._session.connection.in_atomic_block:
            if not self._is_silence_over():
                return None
            self._told_at = time.monotonic()
        return self._channel

    def tell_if_late(self) -> None:
        """Tell of what an INSERT has stored in silence, where that took longer than those who were told before have waited."""
        if self._is_silence_over():
            self.tell()

    def tell(self) -> None:
        """Tell others now of what is recorded. Raise QueueError in the caller's transaction alone, which is spoilt then."""
        if not self.is_notifying:
            return
        try:
            self._session.run(self._tell)
        except QueueError as exc:
            if self._session.connection.in_atomic_block:
                raise
            # It stands, and whoever looks by himself finds it. An error here would have it done once more.
            logger.warning("What was stored could not be told of: %s", exc)

    def _tell(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_notify(%s, '')", [self._channel])

    def _is_silence_over(self) -> bool:
        return time.monotonic() - self._told_at >= QUIET
