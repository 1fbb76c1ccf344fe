"""Which database the workflows live in, and how it is worked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections, router
from django.db.models import Model, QuerySet

from ..aliases import backend_or_none
from ..brokers.database.session import Session, open_blocks
from ..exceptions import QueueError
from ..models import StepRow, WorkflowRow
from ..timestamps import to_micros

T = TypeVar("T")

#: Rows of one INSERT.
ROWS = 500


def database() -> str:
    """Return the alias of the database that keeps the workflows.

    The one that OPTIONS['DATABASE'] of TASKS['default'] names, so that they lie beside the tasks; else the router's choice.
    """
    settings = getattr(backend_or_none("default"), "settings", None)
    return getattr(settings, "database", None) or router.db_for_write(WorkflowRow) or "default"


def session() -> Session:
    """Return the way to that database: in the caller's transaction where there is one, else with lost races tried again."""
    return Session(database())


def steadily(work: Callable[[str], T]) -> T:
    """Return what `work` does with the database; it must bear to be begun again. Raise QueueError where that is away.

    A connection from before an outage breaks when it is used, and would stay broken where nobody tidies up after us
    (maintenance, supervisor): it is closed, and a new one tried once.
    """
    using = database()
    for is_last in (False, True):
        try:
            return work(using)
        except (DatabaseError, InterfaceError) as exc:
            joins = connections[using].in_atomic_block
            if not joins:
                connections[using].close()
            if joins or is_last:
                raise QueueError(f"The workflows in the database {using!r} cannot be reached: {exc}") from exc
    raise AssertionError("It has returned or raised.")


def is_any_before(using: str, model: type[Model], column: str, moment: datetime) -> bool:
    """Return whether a row's `column`, an InstantField, is not later than a moment.

    Every worker asks this all the time, and mostly in vain; without the ORM, which an idle one loads for nothing else: that
    is some megabytes in each process.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM {model._meta.db_table} WHERE {column} <= %s LIMIT 1",
            [to_micros(moment)],
        )
        return cursor.fetchone() is not None


def steps_in(using: str, workflow: str | UUID) -> QuerySet[StepRow]:
    """Return the steps of a workflow, gates among them."""
    return StepRow.objects.using(using).filter(workflow_id=UUID(str(workflow)))


def is_in_transaction(alias: str) -> bool:
    """Return whether a transaction is open here, other than those that Django's TestCase holds around a test."""
    return bool(open_blocks(connections[alias]))
