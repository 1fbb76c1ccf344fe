"""A thread's way to the database: the connection, its errors, and another try where a statement only lost a race."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import QueueError
from .dialects import Dialect
from .mysql import Mysql
from .postgresql import Postgresql
from .sqlite import Sqlite

logger = logging.getLogger("reinhardt_tasks")

T = TypeVar("T")

#: Seconds that a statement is sent again for, while others hold what it needs.
PATIENCE = 60.0


def open_blocks(connection: Any) -> list[Any]:
    """Return the transactions that are open on a connection, but for those that Django's TestCase holds around a test."""
    return [block for block in connection.atomic_blocks if not getattr(block, "_from_testcase", False)]


class Session:
    """The database `alias`, from whatever thread asks."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._dialect: Dialect | None = None

    @property
    def connection(self) -> BaseDatabaseWrapper:
        connection: BaseDatabaseWrapper = connections[self.alias]
        return connection

    @property
    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction of its own. Those that Django's TestCase holds around a test are none."""
        return bool(open_blocks(self.connection))

    @property
    def dialect(self) -> Dialect:
        """What this kind of database can do, and how it says it. Raise QueueError where its kind cannot be asked for."""
        if self._dialect is None:
            try:
                self._dialect = dialect_of(self.connection)
            except (DatabaseError, InterfaceError) as exc:
                # MariaDB and MySQL are told from each other by a first connection.
                self.connection.close_if_unusable_or_obsolete()
                raise QueueError(self._sentence(exc)) from exc
        return self._dialect

    def run(self, work: Callable[[Any], T], *, together: bool = False) -> T:
        """Run `work(cursor)` and return what it does: in the caller's transaction where there is one.

        Outside of one, a lost race (a deadlock, SQLite's write lock) is tried again; `work` must bear that. With
        `together` its statements are done as one: whatever is raised undoes them all, and in a transaction of the caller's
        only them. Raise QueueError where the database fails.
        """
        connection = self.connection
        joins = connection.in_atomic_block
        deadline = time.monotonic() + PATIENCE
        attempt = 0
        while True:
            try:
                if together or not self.dialect.is_single:
                    with self.dialect.transaction(connection), connection.cursor() as cursor:
                        return work(cursor)
                with connection.cursor() as cursor:
                    return work(cursor)
            except (DatabaseError, InterfaceError) as exc:
                if joins:
                    raise QueueError(self._sentence(exc)) from exc
                if not self.dialect.is_conflict(exc) or time.monotonic() > deadline:
                    connection.close_if_unusable_or_obsolete()
                    if connection.errors_occurred:
                        connection.close()
                    raise QueueError(self._sentence(exc)) from exc
            attempt += 1
            time.sleep(min(0.005 * 2**attempt, 0.25) * (0.5 + random.random()))  # noqa: S311

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.dialect.transaction(self.connection):
            yield

    def close(self) -> None:
        """Close this thread's connection, unless the thread is in a transaction of its own."""
        if not self.connection.in_atomic_block:
            self.connection.close()

    def _sentence(self, exc: Exception) -> str:
        # What PostgreSQL adds to that is the whole row that it refused, arguments and all.
        reason = str(exc).partition("\nDETAIL:")[0].strip() or type(exc).__name__
        return f"The task queue in the database {self.alias!r} failed: {reason}.{migrate_hint(reason, self.alias)}"


def migrate_hint(reason: str, alias: str) -> str:
    """Return the way out, for a database that says that a table is not there; else nothing."""
    if any(words in reason for words in ("no such table", "does not exist", "doesn't exist")):
        return f" Run `manage.py migrate --database {alias}`."
    return ""


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """Return the dialect of a connection. Raise NotImplementedError for a database that has none here."""
    match connection.vendor:
        case "sqlite":
            return Sqlite()
        case "postgresql":
            return Postgresql()
        case "mysql":
            return Mysql(connection)
        case vendor:
            raise NotImplementedError(
                f"reinhardt_tasks has no dialect for {vendor}: use SQLite, PostgreSQL, MariaDB or MySQL."
            )
