"""Schedules as the commands tell of them: as JSON, and what is not well with one in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..operations.schedule_runs import zone_of
from ..scheduling import ScheduleView
from ..scheduling.planning import COUNTED


def facts_of(view: ScheduleView) -> dict[str, Any]:
    """Return a schedule as JSON has it; the shape is documented, and only grows."""
    row = view.row
    is_object = row.schedule.startswith("{") and row.schedule.endswith("}")
    return {
        "name": row.name,
        "state": view.state,
        "source": row.source,
        "schedule": json.loads(row.schedule) if is_object else row.schedule,
        "words": view.words,
        "task": row.task,
        "backend": row.alias,
        "queue": row.queue,
        "priority": row.priority,
        "catch_up": row.catch_up,
        "overlap": row.overlap,
        "start": row.start_at and row.start_at.isoformat(),
        "end": row.end_at and row.end_at.isoformat(),
        "jitter": row.jitter,
        "zone": str(zone_of(row)),
        "next": [moment.isoformat() for moment in view.next],
        "late": view.late,
        "unsent": view.unsent,
        "last_slot": row.last_slot and row.last_slot.isoformat(),
        "last_task": row.last_task and str(row.last_task),
        "waiting": row.waiting,
        "fired": row.fired,
        "missed": row.missed,
        "skipped": row.skipped,
        "error": row.last_error,
    }


def late_words(view: ScheduleView, at: Callable[[datetime | None], str]) -> str:
    """Return how many slots are late, and since when, as `at` writes a moment; '' for none."""
    if not view.late:
        return ""
    since = at(view.row.next_slot)
    if view.late >= COUNTED:
        return _("LATE: {number} or more slots since {moment}").format(number=COUNTED, moment=since)
    words = ngettext("LATE: {number} slot since {moment}", "LATE: {number} slots since {moment}", view.late)
    return words.format(number=view.late, moment=since)


def unsent_words(view: ScheduleView) -> str:
    return _("NOT SENT: {number}").format(number=view.unsent) if view.unsent else ""


def not_taken_over_words() -> str:
    return _("declared, and not taken over yet: runscheduler does that at its start")


def shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else _("never")
