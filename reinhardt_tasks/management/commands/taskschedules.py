"""`manage.py taskschedules`: which schedules there are, when they are next due, and what is late or broken."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...exceptions import QueueError
from ...scheduling import ScheduleView, list_schedules
from ...scheduling.collecting import collect
from ...scheduling.databases import schedules_database
from ...scheduling.synchronising import not_taken_over
from ..flags import whole
from ..schedule_facts import facts_of, late_words, not_taken_over_words, shown, unsent_words
from ..spoken import SpokenCommand

WELL, NOT_WELL, USAGE, UNREACHABLE = 0, 1, 2, 3


class Command(SpokenCommand):
    about = gettext_lazy(
        "List the schedules with their next slots, and mark what is late (due for a minute or longer and not fired: does a "
        "runscheduler run?), broken (switched off by an error), not sent, or declared and not taken over by a runscheduler. "
        "Exit codes: 0 all is well, 1 something is not, 2 for a usage that cannot be, 3 where the database cannot be reached."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--next", type=whole, default=1, metavar="N", help=_("Slots to show of each (default: 1)."))
        parser.add_argument("--json", action="store_true", help=_("Print one JSON object."))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            views = list(list_schedules(options["next"]))
            new = not_taken_over()
        except QueueError as exc:
            raise CommandError(
                _("The database {alias} cannot be reached: {exc}").format(alias=repr(schedules_database()), exc=exc),
                returncode=3,
            ) from exc
        unknown = sorted(declaration.name for declaration in new)
        problems = [str(problem) for problem in collect()[1]]
        is_well = not problems and all(view.is_well for view in views) and not any(each.enabled for each in new)
        if options["json"]:
            self.stdout.write(json.dumps(_facts(views, unknown, problems, is_well)))
        else:
            self._tell(views, unknown, problems)
        if not is_well:
            sys.exit(NOT_WELL)

    def _tell(self, views: list[ScheduleView], unknown: list[str], problems: list[str]) -> None:
        width = max((len(view.row.name) for view in views), default=0)
        for view in views:
            marks = [text for text in (late_words(view, shown), unsent_words(view)) if text]
            state = view.state if not view.next or view.state != "on" else ", ".join(map(shown, view.next))
            line = f"{view.row.name:{width}}  {view.words}  {state}"
            self.stdout.write("  ".join([line, *(self.style.ERROR(mark) for mark in marks)]))
            if view.row.last_error:
                self.stdout.write(self.style.ERROR(f"{'':{width}}  {view.row.last_error}"))
        for name in unknown:
            self.stdout.write(f"{name:{width}}  {not_taken_over_words()}")
        for problem in problems:
            self.stderr.write(problem)
        late = sum(1 for view in views if view.late)
        broken = sum(1 for view in views if view.state == "broken")
        words = ngettext(
            "{number} schedule, {late} late, {broken} broken.",
            "{number} schedules, {late} late, {broken} broken.",
            len(views),
        )
        self.stdout.write(words.format(number=len(views), late=late, broken=broken))


def _facts(views: list[ScheduleView], unknown: list[str], problems: list[str], is_well: bool) -> dict[str, Any]:
    return {
        "well": is_well,
        "late": sum(1 for view in views if view.late),
        "broken": sum(1 for view in views if view.state == "broken"),
        "schedules": [facts_of(view) for view in views],
        "not_taken_over": unknown,
        "problems": problems,
    }
