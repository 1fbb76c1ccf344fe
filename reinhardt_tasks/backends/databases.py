"""What can be wrong with a database as a home for tasks, as messages of the system check."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.db import connections

from ..speech import gettext as _

_OLDEST = {"postgresql": 140000, "mysql": (8, 0, 17), "mariadb": (10, 6), "sqlite": (3, 35)}


def database_messages(alias: str, database: str) -> list[checks.CheckMessage]:
    """Return what is wrong with the database of one alias, without asking a server: that is the check's `--database`."""
    if database not in connections.settings:
        known = ", ".join(map(repr, connections.settings))
        return [
            _error(
                "E010",
                _("TASKS[{alias}] uses the database {database}, which DATABASES does not have.").format(
                    alias=repr(alias), database=repr(database)
                ),
                _("It has {known}.").format(known=known),
            )
        ]
    connection: Any = connections[database]
    if connection.vendor not in ("sqlite", "postgresql", "mysql"):
        return [
            _error(
                "E011",
                _("TASKS[{alias}] uses the database {database}, a {display_name}, which cannot keep tasks.").format(
                    alias=repr(alias), database=repr(database), display_name=connection.display_name
                ),
                _(
                    "Use SQLite, PostgreSQL, MariaDB or MySQL; OPTIONS['DATABASE'] may name one that is not the default."
                ),
            )
        ]
    return _sqlite_messages(alias, database, connection) if connection.vendor == "sqlite" else []


def _sqlite_messages(alias: str, database: str, connection: Any) -> list[checks.CheckMessage]:
    if connection.is_in_memory_db():
        return []
    messages: list[checks.CheckMessage] = []
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.Database.sqlite_version_info < _OLDEST["sqlite"]:
        messages.append(
            _error(
                "E012",
                _("SQLite {sqlite_version} is too old to keep tasks.").format(
                    sqlite_version=connection.Database.sqlite_version
                ),
                _("Use SQLite 3.35 or later."),
            )
        )
    if "wal" not in str(options.get("init_command", "")).lower() and not _is_wal(connection):
        messages.append(
            checks.Warning(
                _(
                    "The SQLite database {database} of TASKS[{alias}] is not in WAL mode: workers and requests block "
                    "each other."
                ).format(database=repr(database), alias=repr(alias)),
                hint=_("Set DATABASES[{database}]['OPTIONS']['init_command'] = 'PRAGMA journal_mode=WAL'.").format(
                    database=repr(database)
                ),
                id="reinhardt_tasks.W001",
            )
        )
    if str(options.get("transaction_mode", "")).upper() != "IMMEDIATE":
        messages.append(
            checks.Warning(
                _(
                    "Transactions of the SQLite database {database} of TASKS[{alias}] begin without the lock: one that "
                    "reads and then writes fails at once with 'database is locked' where a worker wrote in between."
                ).format(database=repr(database), alias=repr(alias)),
                hint=_("Set DATABASES[{database}]['OPTIONS']['transaction_mode'] = 'IMMEDIATE'.").format(
                    database=repr(database)
                ),
                id="reinhardt_tasks.W002",
            )
        )
    return messages


def _is_wal(connection: Any) -> bool:
    """Return whether the file is in WAL mode already: it stays in it. A file that is not there has no mode yet."""
    import os

    if not os.path.exists(connection.settings_dict["NAME"]):
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode")
            return str(cursor.fetchone()[0]).lower() == "wal"
    except Exception:
        return False


def server_messages(alias: str, database: str) -> list[checks.CheckMessage]:
    """Return what a database says of itself that makes it unfit: too old, or without its tables. Asks the server."""
    from ..models import JobRow

    connection: Any = connections[database]
    messages: list[checks.CheckMessage] = []
    kind = "mariadb" if getattr(connection, "mysql_is_mariadb", False) else connection.vendor
    version = {
        "postgresql": lambda: connection.pg_version,
        "mysql": lambda: connection.mysql_version,
        "mariadb": lambda: connection.mysql_version,
    }.get(kind)
    if version is not None and version() < _OLDEST[kind]:
        messages.append(
            _error(
                "E012",
                _("The database {database} of TASKS[{alias}] is too old to keep tasks: {version}.").format(
                    database=repr(database), alias=repr(alias), version=version()
                ),
                _("See the manual."),
            )
        )
    if JobRow._meta.db_table not in connection.introspection.table_names():
        messages.append(
            checks.Warning(
                _("The database {database} of TASKS[{alias}] has no table {db_table}.").format(
                    database=repr(database), alias=repr(alias), db_table=JobRow._meta.db_table
                ),
                # `migrate` itself asks for these checks before it begins.
                hint=_("Run `manage.py migrate --database {database}`, unless that is what runs just now.").format(
                    database=database
                ),
                id="reinhardt_tasks.W003",
            )
        )
    return messages


def _error(code: str, message: str, hint: str) -> checks.CheckMessage:
    return checks.Error(message, hint=hint, id=f"reinhardt_tasks.{code}")
