"""Tasks for schedules."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from reinhardt_tasks.tasks import task


@task(takes_context=True)
def tell_slot(context: Any) -> str | None:
    """Return the slot for which it runs."""
    return context.scheduled_for and context.scheduled_for.isoformat()


#: What `count` was given, in this process.
counted: list[int] = []


@task
def count(number: int) -> int:
    counted.append(number)
    return number


#: Whose task it is, where that travels.
tenant: ContextVar[str | None] = ContextVar("tenant", default=None)
