"""`tasks schedules list | show | on | off | run-now | delete`: what the page *Schedules* has."""

from __future__ import annotations

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...cuts import beginning
from ...exceptions import InvalidSchedule, TaskNotFound
from ...jobs import TaskStatus
from ...operations import TaskView
from ...operations.schedule_runs import PastRun, last_tasks, no_runs_words, past_runs, runs_of, zone_of
from ...operations.schedules import SCHEDULE_ACTIONS, ScheduleAction, call_of, reading_schedules
from ...priorities import both_scales
from ...scheduling import ScheduleView, list_schedules
from ...scheduling.people import find, now, view_of
from ...scheduling.synchronising import not_taken_over
from ..flags import whole
from ..schedule_facts import facts_of, late_words, not_taken_over_words, unsent_words
from .base import OK, UNDONE, Options, Subcommand
from .groups import Group, add_yes
from .looking import told_of_away
from .output import Output
from .schedule_editing import Add, EditSchedule
from .tables import Table
from .words import age, ago, at_local


class ListSchedules(Subcommand):
    name = "list"
    help = gettext_lazy("List schedules by name, with their next times.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--next", type=whole, default=1, metavar="N", help=_("Times to show of each (default: 1)."))
        parser.add_argument(
            "--limit", type=whole, default=50, metavar="N", help=_("Schedules on a page (default: 50).")
        )
        parser.add_argument("--after", default="", metavar="NAME", help=_("Where the page before ended."))

    def run(self, options: Options, out: Output) -> int:
        views = list(list_schedules(options["next"], after=options["after"], limit=options["limit"]))
        last, away = last_tasks([view.row for view in views])
        titles = [_("schedule"), _("state"), _("when"), _("next"), _("last run"), _("task"), ""]
        table = Table(titles, under=[[2], [5], [6]])
        for view in views:
            table.add(
                view.row.name,
                view.state,
                view.words,
                ", ".join(map(at_local, view.next)) or "–",
                " ".join(filter(None, [_status(view, last), ago(view.row.last_slot)])),
                view.row.task,
                _marks(view),
            )
        # What has no row yet is told with the first page.
        new = [] if options["after"] else not_taken_over()
        for each in new:
            table.add(each.name, "declared", str(each.schedule), "–", "–", each.task, not_taken_over_words())
        out.table(table, _("There are no schedules."))
        after = views[-1].row.name if len(views) == options["limit"] else None
        if after is not None:
            out.say(_("Go on with --after {id}").format(id=after))
        names = sorted(each.name for each in new)
        facts = [{**facts_of(view), "last_status": _status(view, last)} for view in views]
        out.data({"schedules": facts, "after": after, "not_taken_over": names, "away": away})
        return told_of_away(out, away)


class ShowSchedule(Subcommand):
    name = "show"
    help = gettext_lazy("Show one schedule: its times, its task, how its last runs were.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help=_("Its name."))
        parser.add_argument("--next", type=whole, default=10, metavar="N", help=_("Times to show (default: 10)."))
        parser.add_argument("--last", type=whole, default=10, metavar="N", help=_("Last runs to show (default: 10)."))

    def run(self, options: Options, out: Output) -> int:
        row = find(options["name"])
        view = view_of(row, now(), options["next"])
        call = call_of(row)
        facts = {
            _("schedule"): row.name,
            _("state"): view.state,
            _("when"): view.words,
            _("expression"): view.expression or None,
            _("task"): row.task,
            _("arguments"): None if call is None else str(call),
            _("backend"): row.alias,
            _("queue"): row.queue,
            _("priority"): None if row.priority is None else both_scales(row.priority),
            _("after an outage"): row.catch_up,
            _("while the last run is going"): row.overlap,
            _("starts at"): row.start_at and at_local(row.start_at),
            _("ends at"): row.end_at and at_local(row.end_at),
            _("put off by up to"): age(row.jitter) if row.jitter else None,
            _("declared in"): row.source,
            _("runs"): _("{fired}, {missed} missed, {skipped} left out").format(
                fired=row.fired, missed=row.missed, skipped=row.skipped
            ),
            _("last run"): at_local(row.last_slot),
            _("last task"): row.last_task,
            _("error"): row.last_error,
            _("look at"): _marks(view) or None,
        }
        out.facts(facts)
        for run in runs_of(view.next, zone_of(row)):
            words = f"{run.at:%Y-%m-%d %H:%M:%S %Z}"
            out.say(f"{words}  {_('after a change of the clock')}" if run.is_after_change else words)
        past, away = past_runs(row, options["last"])
        out.say()
        _tell_past(past, no_runs_words(row), out)
        runs = [run.as_json() for run in past]
        out.data(
            {**facts_of(view), "args": call and call.args, "kwargs": call and call.kwargs, "runs": runs, "away": away}
        )
        return told_of_away(out, away)


class ActOnSchedules(Subcommand):
    """One of SCHEDULE_ACTIONS."""

    acts = True

    def __init__(self, action: ScheduleAction) -> None:
        self.action = action
        self.name, self.help = action.name, action.help

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="NAME", help=_("Names of schedules."))
        if self.action.destroys:
            add_yes(parser)

    def run(self, options: Options, out: Output) -> int:
        names = list(dict.fromkeys(options["names"]))
        if self.action.destroys:
            question = ngettext("Delete {number} schedule?", "Delete {number} schedules?", len(names))
            if not out.confirm(question.format(number=len(names)), is_agreed=options["yes"]):
                out.warn(_("Nothing was done."))
                return UNDONE
        took: dict[str, str | None] = {}
        left: dict[str, str] = {}
        try:
            for name in names:
                try:
                    took[name] = self.action.does(name)
                except (InvalidSchedule, TaskNotFound) as exc:
                    left[name] = str(exc)
                    out.warn(str(exc))
                else:
                    out.say(str(self.action.said).format(name=name, task=took[name]))
        finally:
            # What was done is told, also where a store went away before the rest.
            tasks = {name: task for name, task in took.items() if task is not None}
            out.data({"action": self.name, "count": len(took), "took": list(took), "left": left, "tasks": tasks})
        return UNDONE if left else OK


class Schedules(Group):
    name = "schedules"
    help = gettext_lazy("See schedules, switch them, run one now, make, change and delete those that are people's.")

    def __init__(self) -> None:
        acting = [ActOnSchedules(action) for action in SCHEDULE_ACTIONS.values()]
        super().__init__([ListSchedules(), ShowSchedule(), *acting, Add(), EditSchedule()])

    def run(self, options: Options, out: Output) -> int:
        with reading_schedules():
            return super().run(options, out)


def _tell_past(past: list[PastRun], none: str, out: Output) -> None:
    table = Table([_("last runs"), _("status"), _("id"), _("exception"), ""], under=[[3]])
    for run in past:
        task = run.task
        table.add(
            at_local(run.slot.due_at),
            run.slot.get_state_display() if task is None else task.status.value,
            run.id or "",
            "" if task is None or task.status is TaskStatus.SUCCESS else beginning(task.exception_line, 60),
            _("by hand") if run.is_by_hand else "",
        )
    out.table(table, none)


def _status(view: ScheduleView, last: dict[str, TaskView]) -> str | None:
    """Return the state of a schedule's last task; None where it has none, or nobody knows that any more."""
    task = last.get(str(view.row.last_task))
    return None if task is None else task.status.value


def _marks(view: ScheduleView) -> str:
    return "  ".join(filter(None, [late_words(view, at_local), unsent_words(view), view.row.last_error or ""]))
