"""Whether the schedules are fired, asked in four statements, however many there are: for alerts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction

from ..brokers.database.session import Session
from ..models import ScheduleRow
from .databases import clock_of
from .planning import COUNTED, LATE
from .synchronising import not_taken_over


@dataclass(frozen=True, kw_only=True, slots=True)
class Unattended:
    """What shows that no scheduler is there, or none that has started since the last deploy; and what none can fire."""

    #: Schedules that should have been fired a minute ago or longer, the longest due first; at most COUNTED are named.
    late: Sequence[str] = ()
    #: For how long the first of them has been due.
    late_for: timedelta = timedelta()
    #: Schedules that are declared and switched on, and were never taken over.
    not_taken_over: Sequence[str] = ()
    #: Schedules that an error has switched off, the last one first; at most COUNTED are named.
    broken: Sequence[str] = ()


def unattended(database: str) -> Unattended:
    """Return what no scheduler sees to. Raise an error of the database's where that cannot be asked."""
    session = Session(database)
    with _apart(session):
        now = clock_of(session)()
        rows = ScheduleRow.objects.using(database).filter(next_at__lte=now - LATE).order_by("next_at")
        found = session.run(lambda cursor: list(rows.values_list("name", "next_at")[:COUNTED]))
        new = not_taken_over(database)
        failed = ScheduleRow.objects.using(database).filter(
            enabled=False, failed_at__isnull=False, retired_at__isnull=True
        )
        broken = session.run(
            lambda cursor: list(failed.order_by("-failed_at").values_list("name", flat=True)[:COUNTED])
        )
    return Unattended(
        late=[name for name, _due in found],
        late_for=now - found[0][1] if found else timedelta(),
        not_taken_over=[declaration.name for declaration in new if declaration.enabled],
        broken=broken,
    )


def _apart(session: Session) -> AbstractContextManager[Any]:
    """What fails in it, such as a table that is not there yet, harms no transaction of the caller's."""
    return transaction.atomic(using=session.alias) if session.connection.in_atomic_block else nullcontext()


__all__ = ["Unattended", "unattended"]
