"""Django's habits around a request, around a task: what a task did to its thread's connections does not reach the next."""

from __future__ import annotations

import logging
from typing import Any

from django.db import connections, reset_queries

logger = logging.getLogger("reinhardt_tasks")


def tidy_connections(*, interrupted: bool = False) -> None:
    """Make this thread's connections fit for the next task; keep those that are.

    None is kept after a task that was `interrupted`: what was raised in its thread may have come between a BEGIN and
    Django's note of it, and an idle thread would hold that transaction, with its locks, until the next task comes.

    A connection is kept between tasks even where CONN_MAX_AGE is 0, which means "for one request": a task of a
    millisecond must not pay for a connection of its own. An age above 0 is honoured, and CONN_HEALTH_CHECKS too.
    """
    for connection in connections.all(initialized_only=True):
        try:
            _tidy(connection, interrupted)
        except Exception:
            # Whatever it is, the thread needs to go on, and the outcome of its task to be told.
            logger.exception("The connection %r is given up: it could not be tidied.", connection.alias)
            del connections[connection.alias]
    reset_queries()


def _tidy(connection: Any, interrupted: bool) -> None:
    if connection.connection is None:
        return
    connection.health_check_done = False
    is_open = connection.in_atomic_block or connection.get_autocommit() != connection.settings_dict["AUTOCOMMIT"]
    if is_open or interrupted:
        # The task left a transaction open. Nothing of it was promised to anybody.
        connection.in_atomic_block = False
        connection.savepoint_ids = []
        connection.atomic_blocks = []
        connection.needs_rollback = False
        connection.closed_in_transaction = False
        connection.run_on_commit = []
        connection.close()
    elif connection.errors_occurred:
        if connection.is_usable():
            connection.errors_occurred = False
        else:
            connection.close()
    elif connection.settings_dict["CONN_MAX_AGE"] != 0:
        connection.close_if_unusable_or_obsolete()
