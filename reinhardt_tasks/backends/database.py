"""The backend for a project that has a database: the tasks are rows, and part of the caller's transaction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core import checks
from django.db import connections, router

from ..brokers.base import Broker
from ..brokers.database import DatabaseBroker
from ..brokers.database.session import open_blocks
from ..options import BackendOptions, Problem, a_flag, a_text_or_none, option
from ..speech import gettext as _
from .base import ReinhardtBackend
from .databases import database_messages
from .stand_ins import stand_in_of


@dataclass(frozen=True, kw_only=True)
class DatabaseOptions(BackendOptions):
    """The options of a database backend, beyond those that all have."""

    #: The alias in DATABASES; None asks the project's router, which says 'default' where there is none.
    database: str | None = option(None, a_text_or_none)
    #: PostgreSQL tells idle workers of new tasks. False where LISTEN cannot work: PgBouncer in transaction mode.
    notify: bool = option(True, a_flag)


class DatabaseBackend(ReinhardtBackend):
    """Durable tasks in SQLite, PostgreSQL, MariaDB or MySQL."""

    options_class: ClassVar[type[BackendOptions]] = DatabaseOptions
    settings: DatabaseOptions

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        if ":" in alias:
            self.problems.append(
                Problem(
                    "E013",
                    _(
                        "TASKS[{alias}] keeps tasks in a database, and has a colon in its alias: a worker of {other} would "
                        "take them for its own."
                    ).format(alias=repr(alias), other=repr(alias.rpartition(":")[0])),
                    _("Call it {alias}.").format(alias=repr(alias.replace(":", "-"))),
                )
            )

    @property
    def database(self) -> str:
        """The alias of the database that keeps the tasks."""
        from ..models import JobRow

        return self.settings.database or router.db_for_write(JobRow) or "default"

    @property
    def broker(self) -> Broker:
        return stand_in_of(self) or _broker_of(self.alias, self.params, self)

    def commits_with(self, database: str) -> bool:
        return self.database == database

    def why_waiting_is_hopeless(self) -> str | None:
        if (stand_in := stand_in_of(self)) is not None:
            return stand_in.why_waiting_is_hopeless()
        if open_blocks(connections[self.database]):
            return (
                "it was enqueued in a transaction that is still open, and no worker sees it before that commits. "
                "Wait after the transaction."
            )
        return None

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        return [*super().check(**kwargs), *database_messages(self.alias, self.database)]


#: One broker for each alias of this process. Backends come and go with threads and event loops; this does not.
_BROKERS: dict[str, tuple[Mapping[str, Any], str, int, DatabaseBroker]] = {}


def _broker_of(alias: str, params: Mapping[str, Any], backend: DatabaseBackend) -> DatabaseBroker:
    database = backend.database
    known = _BROKERS.get(alias)
    # A forked child must not share what its parent listens on.
    if known is not None and known[0] is params and known[1:3] == (database, os.getpid()):
        return known[3]
    options = backend.settings
    broker = DatabaseBroker(alias, database, notify=options.notify)
    _BROKERS[alias] = (params, database, os.getpid(), broker)
    return broker
