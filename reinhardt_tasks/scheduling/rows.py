"""Between a row and the declaration that it keeps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils import translation

from ..exceptions import InvalidSchedule
from ..models import ScheduleRow
from ..schedules import CronSchedule, Schedule, declared, schedule_as_text, schedule_from_text
from ..schedules.declarations import CODE, Declaration
from ..schedules.slots import due_at
from ..speech import gettext as _
from .planning import slot_after

#: The columns that a declaration fills.
COLUMNS = (
    "source",
    "task",
    "args",
    "kwargs",
    "schedule",
    "alias",
    "queue",
    "priority",
    "catch_up",
    "overlap",
    "start_at",
    "end_at",
    "jitter",
)
#: Those of them that say when; a change of one of these makes other slots.
TIMES = ("schedule", "start_at", "end_at", "jitter")


def columns_of(declaration: Declaration) -> dict[str, Any]:
    """Return what the row of a declaration has in its COLUMNS."""
    return {
        "source": declaration.source,
        "task": declaration.task,
        "args": json.dumps(list(declaration.args)),
        "kwargs": json.dumps(dict(declaration.kwargs), sort_keys=True),
        "schedule": text_of(declaration),
        "alias": declaration.backend,
        "queue": declaration.queue_name,
        "priority": declaration.priority,
        "catch_up": declaration.catch_up,
        "overlap": declaration.overlap,
        "start_at": declaration.start,
        "end_at": declaration.end,
        "jitter": declaration.jitter.total_seconds(),
    }


def text_of(declaration: Declaration) -> str:
    """Return a declaration's schedule as its row keeps it. Raise InvalidSchedule for one that cannot be kept."""
    try:
        return schedule_as_text(declaration.schedule)
    except InvalidSchedule:
        if declaration.source != CODE:
            raise
        # Its row says only that code has it, in one language whoever starts a scheduler.
        with translation.override("en"):
            return json.dumps({"kind": "code", "words": str(declaration.schedule)})


def declaration_of_row(row: ScheduleRow) -> Declaration:
    """Return what a row declares. Raise InvalidSchedule for a row that cannot be run, by whoever wrote it."""
    args, kwargs = _json(row, "args"), _json(row, "kwargs")
    return Declaration(
        name=row.name,
        task=row.task,
        schedule=schedule_of_row(row),
        args=args,
        kwargs=kwargs,
        queue_name=row.queue or None,
        priority=row.priority,
        backend=row.alias or None,
        catch_up=row.catch_up,
        overlap=row.overlap,
        start=row.start_at,
        end=row.end_at,
        jitter=timedelta(seconds=row.jitter),
        enabled=row.enabled,
        source=row.source,
    )


def schedule_of_row(row: ScheduleRow) -> Schedule:
    if not row.schedule.startswith('{"kind": "code"'):
        return schedule_from_text(row.schedule)
    if (found := declared.get(row.name)) is None:
        raise InvalidSchedule(
            _("Schedule {name} is of a kind that only code can make, and no code here declares it.").format(
                name=repr(row.name)
            )
        )
    return found.schedule


def schedule_in_words(row: ScheduleRow) -> str:
    """Return a row's schedule for people, also where it cannot be read here."""
    try:
        return str(schedule_of_row(row))
    except InvalidSchedule:
        try:
            return str(json.loads(row.schedule).get("words") or row.schedule)
        except (ValueError, AttributeError):
            return row.schedule


def expression_of_row(row: ScheduleRow) -> str:
    """Return a cron expression as it was written, with its time zone if it names one; '' for a schedule of another kind."""
    try:
        schedule = schedule_of_row(row)
    except InvalidSchedule:
        return ""
    if not isinstance(schedule, CronSchedule):
        return ""
    return schedule.expression if schedule.tz is None else f"{schedule.expression} ({schedule.tz})"


def fill(row: ScheduleRow, declaration: Declaration) -> None:
    """Write a declaration into its row."""
    for column, value in columns_of(declaration).items():
        setattr(row, column, value)


def times_of(row: ScheduleRow) -> dict[str, Any]:
    """Return what a row says of when it is due."""
    return {column: getattr(row, column) for column in TIMES}


def set_next(row: ScheduleRow, declaration: Declaration, slot: datetime | None) -> None:
    """Make `slot` the row's next one."""
    row.next_slot = slot
    row.next_at = None if slot is None else due_at(declaration.name, slot, declaration.jitter)


def stop(row: ScheduleRow) -> None:
    """Leave the row without a next slot."""
    row.next_slot = row.next_at = None


def begin_at(row: ScheduleRow, declaration: Declaration, now: datetime) -> None:
    """Let the row's slots count from `now` on: it is new, or another one, or was off. No slot that was fired comes again."""
    row.since_at = now
    after = now if row.last_slot is None else max(now, row.last_slot)
    set_next(row, declaration, slot_after(declaration, after) if row.enabled else None)


def _json(row: ScheduleRow, column: str) -> Any:
    try:
        return json.loads(getattr(row, column))
    except (ValueError, TypeError) as exc:
        raise InvalidSchedule(
            _("Schedule {name}: its {column} are no JSON: {exc}.").format(name=repr(row.name), column=column, exc=exc)
        ) from exc
