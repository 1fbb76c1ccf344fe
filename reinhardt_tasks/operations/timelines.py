"""What happened to a task and when, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from ..exception_text import class_path
from ..exceptions import TaskCancelled
from ..jobs import TaskStatus
from .attempts import AttemptView

if TYPE_CHECKING:
    from .views import TaskView


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened, or is going to."""

    at: datetime
    what: str
    detail: str = ""
    #: Seconds after the one before it; None for the first one.
    gap: float | None = None
    is_ahead: bool = False


def timeline_of(task: TaskView) -> Sequence[Event]:
    """Return what happened to a task, oldest first, and when it is due where it waits."""
    events = [] if task.enqueued_at is None else [Event(at=task.enqueued_at, what=_("enqueued"))]
    for attempt in task.attempts:
        if attempt.started_at is not None:
            events.append(Event(at=attempt.started_at, what=_("started"), detail=attempt.worker))
        if attempt.exception and attempt.finished_at is not None:
            events.append(Event(at=attempt.finished_at, what=_end_of(attempt), detail=attempt.exception))
    if task.status is TaskStatus.CANCELLED and task.attempts and task.attempts[-1].exception == _CANCELLED:
        # It ended the task, which tells of it once.
        events.pop()
    if task.finished_at is not None:
        events.append(Event(at=task.finished_at, what=_ENDS[task.status]()))
    elif task.status.is_waiting and task.due_at is not None:
        events.append(Event(at=task.due_at, what=_("due"), is_ahead=True))
    events.sort(key=lambda event: event.at)
    return events[:1] + [
        replace(event, gap=(event.at - before.at).total_seconds()) for before, event in pairwise(events)
    ]


def _end_of(attempt: AttemptView) -> str:
    if attempt.lost:
        return _("worker lost")
    return _("cancelled") if attempt.exception == _CANCELLED else _("failed")


#: What an attempt keeps that somebody has cancelled while it ran.
_CANCELLED = class_path(TaskCancelled)

#: Functions, since the language is that of whoever looks.
_ENDS = {
    TaskStatus.SUCCESS: lambda: _("succeeded"),
    TaskStatus.FAILURE: lambda: _("failed for good"),
    TaskStatus.CANCELLED: lambda: _("cancelled"),
    # A finishing time at one that has not finished is damage; it is shown all the same.
    **{status: lambda: _("finished") for status in TaskStatus if not status.is_finished},
}
