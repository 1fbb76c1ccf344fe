"""How an idle worker learns, without asking the tables, that something was enqueued."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.db import connections

from .session import Session, logger

#: Seconds between two looks at SQLite's counter of changes: while something happens, and when nothing has for QUIET_AFTER
#: seconds. The look itself is two microseconds; waking up for it is a hundred, which an idle worker pays for ever.
_SQLITE_STEP, _SQLITE_QUIET_STEP, _QUIET_AFTER = 0.01, 0.04, 0.5


class Ear(ABC):
    """Sleeps until the database may have changed. `wake` ends it from another thread."""

    #: Calls of the broker's `wake` that have ended a wait here.
    wakes_heard = 0
    #: Whether it is told of changes; who is not has to look oftener.
    is_told = True
    #: Seconds after something was heard until all that happened meanwhile can be seen, and the moment when that is so.
    settle = 0.0
    settled_at = 0.0

    @abstractmethod
    def listen(self, seconds: float) -> bool:
        """Return True when something may have changed, False when the time was up."""

    @abstractmethod
    def wake(self) -> None: ...

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what this ear holds."""


class PollingEar(Ear):
    """For databases that tell nothing: it only sleeps."""

    is_told = False

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
        self._changed_at = time.monotonic()

    def listen(self, seconds: float) -> bool:
        now = time.monotonic()
        deadline = now + seconds
        while (left := deadline - now) > 0:
            if self._has_changed():
                self._changed_at = now
                return True
            step = _SQLITE_STEP if now - self._changed_at < _QUIET_AFTER else _SQLITE_QUIET_STEP
            woken = self._event.wait(min(step, left))
            now = time.monotonic()
            if woken:
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

    # A little more than a sender's silence, `news.QUIET`.
    settle = 0.03

    def __init__(self, session: Session, channel: str) -> None:
        self._session = session
        self._channel = channel
        self._wrapper: Any = None
        # Sockets, not a pipe: one that was closed refuses to be woken, where a pipe's number may be another file's by then.
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.setblocking(False)

    def listen(self, seconds: float) -> bool:
        try:
            told = self._socket()
        except Exception:
            logger.warning(
                "LISTEN failed on the database %r; falling back to polling.", self._session.alias, exc_info=True
            )
            self._drop()
            told = None
        readers: list[Any] = [self._wake_reader, *([told] if told is not None else [])]
        ready = _readable(readers, seconds)
        if self._wake_reader in ready:
            self._wake_reader.recv(4096)
        if told is not None and told in ready:
            self._take()
        return bool(ready)

    def wake(self) -> None:
        # Full means that waking is due anyway; closed, that nobody sleeps here any more.
        with suppress(OSError):
            self._wake_writer.send(b"w")

    def close(self) -> None:
        self._drop()
        self._wake_reader.close()
        self._wake_writer.close()

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


def _readable(readers: Sequence[Any], seconds: float) -> list[Any]:
    """Return which of some sockets can be read, after waiting for one. Not by select(): that knows numbers below 1024 only."""
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(seconds)]


def ear_of(session: Session, channel: str, *, notify: bool) -> Ear:
    match session.connection.vendor:
        case "postgresql" if notify:
            return PostgresqlEar(session, channel)
        case "sqlite":
            return SqliteEar(session)
        case _:
            return PollingEar()
