"""How an idle worker learns, without asking the tables, that something was enqueued."""

from __future__ import annotations

import os
import select
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from django.db import connections

from .session import Session, logger

#: Seconds between two looks at SQLite's counter of changes. One look costs some microseconds and takes no lock.
_SQLITE_STEP = 0.01


class Ear(ABC):
    """Sleeps until the database may have changed. `wake` ends it from another thread."""

    #: Calls of the broker's `wake` that have ended a wait here.
    wakes_heard = 0

    @abstractmethod
    def listen(self, seconds: float) -> bool:
        """Return True when something may have changed, False when the time was up."""

    @abstractmethod
    def wake(self) -> None: ...

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what this ear holds."""


class PollingEar(Ear):
    """For databases that tell nothing: it only sleeps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def listen(self, seconds: float) -> bool:
        woken = self._event.wait(seconds)
        self._event.clear()
        return woken

    def wake(self) -> None:
        self._event.set()


class SqliteEar(Ear):
    """Watches `PRAGMA data_version`, which grows with each commit of another connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._event = threading.Event()
        self._seen: tuple[int, int] | None = None

    def listen(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._has_changed():
                return True
            if self._event.wait(min(_SQLITE_STEP, left)):
                self._event.clear()
                return True
        return self._has_changed()

    def wake(self) -> None:
        self._event.set()

    def _has_changed(self) -> bool:
        connection = self._session.connection
        connection.ensure_connection()
        raw: Any = connection.connection
        version = (id(raw), raw.execute("PRAGMA data_version").fetchone()[0])
        changed = self._seen is not None and version != self._seen
        self._seen = version
        return changed


class PostgresqlEar(Ear):
    """LISTENs on a connection of its own, and falls back to sleeping where that cannot be had (PgBouncer)."""

    def __init__(self, session: Session, channel: str) -> None:
        self._session = session
        self._channel = channel
        self._wrapper: Any = None
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)

    def listen(self, seconds: float) -> bool:
        try:
            socket = self._socket()
        except Exception:
            logger.warning(
                "LISTEN failed on the database %r; falling back to polling.", self._session.alias, exc_info=True
            )
            self._drop()
            socket = None
        readers = [self._wake_reader, *([socket] if socket is not None else [])]
        ready, _, _ = select.select(readers, [], [], seconds)
        if self._wake_reader in ready:
            os.read(self._wake_reader, 4096)
        if socket is not None and socket in ready:
            self._take()
        return bool(ready)

    def wake(self) -> None:
        # A full pipe means that waking is due anyway.
        with suppress(BlockingIOError, OSError):
            os.write(self._wake_writer, b"w")

    def close(self) -> None:
        self._drop()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _socket(self) -> int:
        if self._wrapper is None:
            self._wrapper = connections[self._session.alias].copy()
            self._wrapper.inc_thread_sharing()
            self._wrapper.ensure_connection()
            with self._wrapper.cursor() as cursor:
                cursor.execute(f'LISTEN "{self._channel}"')
        number: int = self._wrapper.connection.fileno()
        return number

    def _take(self) -> None:
        """Read the notifications away; that there were some is all they say."""
        raw = self._wrapper.connection
        try:
            if hasattr(raw, "notifies") and callable(raw.notifies):
                for _ in raw.notifies(timeout=0):
                    pass
            else:
                raw.poll()
                raw.notifies.clear()
        except Exception:
            logger.warning("The listening connection to the database %r was lost.", self._session.alias)
            self._drop()

    def _drop(self) -> None:
        wrapper, self._wrapper = self._wrapper, None
        if wrapper is not None:
            with suppress(Exception):
                wrapper.close()


def ear_of(session: Session, channel: str, *, notify: bool) -> Ear:
    match session.connection.vendor:
        case "postgresql" if notify:
            return PostgresqlEar(session, channel)
        case "sqlite":
            return SqliteEar(session)
        case _:
            return PollingEar()
