"""The runs of a schedule as people see them: those to come on its own clock, and what became of those that were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice, pairwise
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from .._compat import task_backends
from ..aliases import what_breaks
from ..backends.base import ReinhardtBackend
from ..exceptions import InvalidSchedule, OperationRefused
from ..schedules import Declaration, Schedule
from ..scheduling import people
from ..scheduling.by_hand import is_by_hand
from ..scheduling.planning import slots_of
from ..scheduling.rows import schedule_of_row
from .stores import STORE_ERRORS, store_of
from .views import TaskView, view


@dataclass(frozen=True, kw_only=True)
class Run:
    """A time to come, on the schedule's own clock."""

    at: datetime
    #: The clock is changed between the run before it and this one.
    is_after_change: bool


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a schedule would be that nobody has saved."""

    words: str
    zone: str
    runs: Sequence[Run]


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run that was, or is on its way. `task` is None where its store does not know the task any more."""

    slot: Any
    #: The task's id; None on a backend that is not of this package, which gives its tasks ids of its own.
    id: str | None
    is_by_hand: bool
    task: TaskView | None

    def as_json(self) -> dict[str, Any]:
        return {
            "at": self.slot.due_at.isoformat(),
            "by_hand": self.is_by_hand,
            "backend": self.slot.alias,
            "id": self.id,
            "sent": self.slot.state,
            "status": self.task and self.task.status.value,
            "exception": (self.task and self.task.exception) or None,
        }


def zone_of(row: Any) -> tzinfo:
    """Return the time zone by whose clock a schedule runs; the site's where it has none of its own."""
    try:
        schedule = schedule_of_row(row)
    except InvalidSchedule:
        return timezone.get_current_timezone()
    return _zone(schedule)


def preview(schedule: Schedule, number: int, *, start: datetime | None = None, end: datetime | None = None) -> Preview:
    """Return a schedule in words, and its next runs from now on."""
    zone = _zone(schedule)
    # Its times ask for neither its name nor its task.
    declaration = Declaration(name="preview", task="preview", schedule=schedule, start=start, end=end)
    runs = runs_of(list(islice(slots_of(declaration, people.now()), number)), zone)
    return Preview(words=str(schedule), zone=str(zone), runs=runs)


def runs_of(moments: Sequence[datetime], zone: tzinfo) -> list[Run]:
    """Return times to come on a zone's clock, and where that is changed."""
    local = [moment.astimezone(zone) for moment in moments]
    changes = [False, *(one.utcoffset() != other.utcoffset() for one, other in pairwise(local))]
    return [Run(at=at, is_after_change=change) for at, change in zip(local, changes, strict=False)]


def past_runs(row: Any, number: int, *, with_arguments: bool = True) -> tuple[list[PastRun], dict[str, str]]:
    """Return the last runs of a schedule, newest first, and the stores that are away (alias → why)."""
    slots = people.last_slots(row, number)
    tasks, away = _tasks([(slot.alias, str(slot.pk)) for slot in slots], with_arguments)
    found = [
        PastRun(slot=slot, id=_id_of(slot), is_by_hand=is_by_hand(row, slot), task=tasks.get(str(slot.pk)))
        for slot in slots
    ]
    return found, away


def no_runs_words(row: Any) -> str:
    """Return what is said of a schedule of which no run is kept."""
    return _("No run of the last seven days.") if row.fired or row.last_slot else _("It has not run yet.")


def last_tasks(rows: Sequence[Any], *, with_arguments: bool = True) -> tuple[dict[str, TaskView], dict[str, str]]:
    """Return what is still known of the last tasks of schedules, by id, and the stores that are away (alias → why)."""
    return _tasks([(row.last_alias or "", str(row.last_task)) for row in rows if row.last_task], with_arguments)


def _zone(schedule: Schedule) -> tzinfo:
    return getattr(schedule, "zone", None) or timezone.get_current_timezone()


def _id_of(slot: Any) -> str | None:
    is_known = slot.alias in task_backends.settings and what_breaks(slot.alias) is None
    return None if is_known and not isinstance(task_backends[slot.alias], ReinhardtBackend) else str(slot.pk)


def _tasks(wanted: Sequence[tuple[str, str]], with_arguments: bool) -> tuple[dict[str, TaskView], dict[str, str]]:
    """One question for each store."""
    found: dict[str, TaskView] = {}
    away: dict[str, str] = {}
    for alias in {alias for alias, _id in wanted}:
        try:
            jobs = store_of(alias).broker.get([id_ for its, id_ in wanted if its == alias])
        except STORE_ERRORS as exc:
            away[alias] = str(exc)
            continue
        except OperationRefused:
            # TASKS has it no more.
            continue
        found |= {id_: view(job, with_arguments=with_arguments) for id_, job in jobs.items()}
    return found, away
