"""Schedules as the commands tell of them: as JSON, and what is not well with one in words."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

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


def late_words(view: ScheduleView) -> str:
    """Return how many slots are late, and since when; '' for none."""
    if not view.late:
        return ""
    since = shown(view.row.next_slot)
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
