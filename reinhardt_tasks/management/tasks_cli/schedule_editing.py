"""`tasks schedules add | edit`: a schedule of people's own, from flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ...exceptions import InvalidSchedule, OperationRefused
from ...operations import aliases, stores
from ...operations.schedules import edit_schedule, schedule_by
from ...schedules.declarations import CATCH_UPS, OVERLAPS
from ...scheduling import people
from ..schedule_facts import facts_of
from .base import OK, Options, Subcommand
from .calls import add_call
from .output import Output
from .words import at_local, moment_to_come, span, task_name

#: Flag → the option of a schedule that it says.
_OPTIONS = {
    "call_args": "args",
    "call_kwargs": "kwargs",
    "to_backend": "backend",
    "queue": "queue_name",
    "priority": "priority",
    "catch_up": "catch_up",
    "overlap": "overlap",
    "start": "start",
    "end": "end",
    "jitter": "jitter",
}


#: What takes a value back.
_NONE = "none"


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a reader of a flag's value that leaves the word `none` as it is."""

    def read_or_none(text: str) -> Any:
        return text if text == _NONE else read(text)

    # argparse names it where a value is none.
    read_or_none.__name__ = read.__name__
    return read_or_none


def _said(flag: str, value: Any) -> Any:
    """Return what a flag says: None for the word `none`, unless a backend or a queue has that name."""
    if value != _NONE:
        return value
    match flag:
        case "to_backend":
            is_name = _NONE in aliases()
        case "queue":
            is_name = any(_NONE in store.backend.queues for store in stores())
        case _:
            is_name = False
    return value if is_name else None


class Changing(Subcommand):
    """Makes or changes a schedule by the flags that both have."""

    acts = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help=_("Its name."))
        parser.add_argument("--task", metavar="TASK", help=_("The task, by its whole name or its last part."))
        parser.add_argument("--cron", metavar="EXPR", help=_("When: a cron expression, '0 3 * * mon-fri'."))
        parser.add_argument(
            "--seconds", action="store_true", help=_("With --cron: it has six fields, and the second stands first.")
        )
        parser.add_argument("--tz", metavar="ZONE", help=_("With --cron: its time zone, such as Asia/Tokyo."))
        parser.add_argument("--every", type=span, metavar="SPAN", help=_("When: at an interval, such as 90s, 15m, 2h."))
        parser.add_argument(
            "--once", type=moment_to_come, metavar="WHEN", help=_("When: once, 2h (from now) or a moment.")
        )
        add_call(parser)
        parser.add_argument("--to-backend", metavar="ALIAS", help=_("Where its tasks go; none: where the task says."))
        parser.add_argument("--queue", metavar="NAME", help=_("Their queue; none: the task's own."))
        parser.add_argument(
            "--priority", type=_or_none(int), metavar="N", help=_("Their priority; none: the task's own.")
        )
        parser.add_argument("--catch-up", choices=CATCH_UPS, help=_("What becomes of times that an outage swallowed."))
        parser.add_argument(
            "--overlap", choices=OVERLAPS, help=_("What becomes of a time while the last run is going.")
        )
        moment = _or_none(moment_to_come)
        parser.add_argument(
            "--start", type=moment, metavar="WHEN", help=_("No time before this moment; none: no such bound.")
        )
        parser.add_argument(
            "--end", type=moment, metavar="WHEN", help=_("No time after this moment; none: no such bound.")
        )
        parser.add_argument("--jitter", type=span, metavar="SPAN", help=_("Put each run off by up to so much."))

    def schedule(self, options: Options) -> Any:
        """Return the schedule that the flags ask for; None where they say nothing of it."""
        given = {"cron": options["cron"], "tz": options["tz"], "every": options["every"], "at": options["once"]}
        if options["once"] is not None and options["once"] <= timezone.now():
            raise OperationRefused(
                _("--once {moment} is over: it would never run.").format(moment=at_local(options["once"]))
            )
        if not options["seconds"] and all(value is None for value in given.values()):
            return None
        return schedule_by(**given, seconds=options["seconds"])

    def options(self, options: Options) -> dict[str, Any]:
        said = {its: _said(flag, options[flag]) for flag, its in _OPTIONS.items() if options[flag] is not None}
        if options["task"] is not None:
            said["task"] = task_name(options["task"])
        return said

    def tell(self, name: str, out: Output) -> int:
        view = people.view_of(people.find(name), people.now(), 1)
        out.say(f"{name}: {view.words}")
        out.data({"action": self.name, **facts_of(view)})
        return OK

    def run(self, options: Options, out: Output) -> int:
        try:
            self.change(options["name"], self.schedule(options), self.options(options))
        except InvalidSchedule as exc:
            raise OperationRefused(str(exc)) from exc
        return self.tell(options["name"], out)

    def change(self, name: str, schedule: Any, said: dict[str, Any]) -> None:
        raise NotImplementedError


class Add(Changing):
    name = "add"
    help = gettext_lazy("Make a schedule of people's own.")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--off", action="store_true", help=_("Make it switched off."))

    def options(self, options: Options) -> dict[str, Any]:
        return {**super().options(options), "enabled": not options["off"]}

    def change(self, name: str, schedule: Any, said: dict[str, Any]) -> None:
        if "task" not in said:
            raise OperationRefused(_("Say which task: --task."))
        if schedule is None:
            raise OperationRefused(_("Say when it is to run: --cron, --every or --once."))
        people.create(name, schedule=schedule, **said)


class EditSchedule(Changing):
    name = "edit"
    help = gettext_lazy("Change a schedule of people's own; what is not said stays.")

    def change(self, name: str, schedule: Any, said: dict[str, Any]) -> None:
        if schedule is not None:
            said["schedule"] = schedule
        if not said:
            raise OperationRefused(_("Say what is to be changed."))
        edit_schedule(people.find(name), said)
