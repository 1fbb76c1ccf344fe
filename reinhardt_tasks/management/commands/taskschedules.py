"""`manage.py taskschedules`: which schedules there are, when they are next due, and what is late or broken."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...exceptions import QueueError
from ...scheduling import ScheduleView, list_schedules
from ...scheduling.databases import schedules_database
from ...scheduling.planning import COUNTED
from ...scheduling.synchronising import collect
from ..flags import whole

WELL, NOT_WELL, USAGE, UNREACHABLE = 0, 1, 2, 3


class Command(BaseCommand):
    help = (
        "List the schedules with their next slots, and mark what is late (due for a minute or longer and not fired: does a "
        "runscheduler run?), broken (switched off by an error) or not sent. Exit codes: 0 all is well, 1 something is not, "
        "2 for a usage that cannot be, 3 where the database cannot be reached."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--next", type=whole, default=1, metavar="N", help="Slots to show of each (default: 1).")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            views = list(list_schedules(options["next"]))
        except QueueError as exc:
            raise CommandError(f"The database {schedules_database()!r} cannot be reached: {exc}", returncode=3) from exc
        known = {view.row.name for view in views}
        declarations, problems = collect()
        unknown = sorted(declaration.name for declaration in declarations if declaration.name not in known)
        if options["json"]:
            self.stdout.write(json.dumps(_facts(views, unknown, problems)))
        else:
            self._tell(views, unknown, problems)
        if problems or not all(view.is_well for view in views):
            sys.exit(NOT_WELL)

    def _tell(self, views: list[ScheduleView], unknown: list[str], problems: list[str]) -> None:
        width = max((len(view.row.name) for view in views), default=0)
        for view in views:
            marks = [text for text in (_late(view), _unsent(view)) if text]
            state = view.state if not view.next or view.state != "on" else ", ".join(map(_shown, view.next))
            line = f"{view.row.name:{width}}  {view.words}  {state}"
            self.stdout.write("  ".join([line, *(self.style.ERROR(mark) for mark in marks)]))
            if view.row.last_error:
                self.stdout.write(self.style.ERROR(f"{'':{width}}  {view.row.last_error}"))
        for name in unknown:
            self.stdout.write(
                f"{name}  declared, and not known to the database: runscheduler takes it over at its start"
            )
        for problem in problems:
            self.stderr.write(problem)
        late = sum(1 for view in views if view.late)
        broken = sum(1 for view in views if view.state == "broken")
        self.stdout.write(f"{len(views)} schedules, {late} late, {broken} broken.")


def _late(view: ScheduleView) -> str:
    if not view.late:
        return ""
    number = (
        f"{COUNTED} or more slots" if view.late >= COUNTED else "one slot" if view.late == 1 else f"{view.late} slots"
    )
    return f"LATE: {number} since {_shown(view.row.next_slot)}"


def _unsent(view: ScheduleView) -> str:
    return f"NOT SENT: {view.unsent}" if view.unsent else ""


def _facts(views: list[ScheduleView], unknown: list[str], problems: list[str]) -> dict[str, Any]:
    return {
        "well": not problems and all(view.is_well for view in views),
        "late": sum(1 for view in views if view.late),
        "broken": sum(1 for view in views if view.state == "broken"),
        "schedules": [_facts_of(view) for view in views],
        "not_taken_over": unknown,
        "problems": problems,
    }


def _facts_of(view: ScheduleView) -> dict[str, Any]:
    row = view.row
    return {
        "name": row.name,
        "state": view.state,
        "source": row.source,
        "schedule": json.loads(row.schedule)
        if row.schedule.startswith("{") and row.schedule.endswith("}")
        else row.schedule,
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


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else "never"
