"""Where schedules are kept: in the database that the backend `default` has or names, so that a slot and its task commit as one."""

from __future__ import annotations

from typing import Any

from django.db import router

from .._compat import DEFAULT_TASK_BACKEND_ALIAS
from ..aliases import backend_or_none
from ..brokers.database.session import Session
from ..models import ScheduleRow
from ..timestamps import from_micros


def schedules_database() -> str:
    """Return the alias of the database that keeps the schedules."""
    backend = backend_or_none(DEFAULT_TASK_BACKEND_ALIAS)
    # A Redis backend may name the database of the transactions that it sends after.
    own = getattr(backend, "database", None) or getattr(getattr(backend, "settings", None), "database", None)
    return own if isinstance(own, str) else router.db_for_write(ScheduleRow) or "default"


def schedules_version() -> int | None:
    """Return which release this process is, as `OPTIONS["SCHEDULES_VERSION"]` of the backend `default` says."""
    backend = backend_or_none(DEFAULT_TASK_BACKEND_ALIAS)
    return getattr(getattr(backend, "settings", None), "schedules_version", None)


def clock_of(session: Session) -> Any:
    """Return the database's clock: it is one and the same for all schedulers."""

    def ask(cursor: Any) -> Any:
        cursor.execute(f"SELECT {session.dialect.now}")
        return from_micros(cursor.fetchone()[0])

    return lambda: session.run(ask)
