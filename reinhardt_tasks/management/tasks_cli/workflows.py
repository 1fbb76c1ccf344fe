"""`tasks workflows list | show | cancel | retry | retry-failed`: what the page *Workflows* has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...exceptions import WorkflowNotFound
from ...operations.facts import moment_text
from ...operations.workflow_progress import WorkflowProgress, progress_of_runs
from ...operations.workflows import WORKFLOW_ACTIONS, WorkflowAction, find_workflow, reading_workflows
from ...suggestions import did_you_mean
from ...workflow_states import ChainStatus, StepStatus
from ...workflows.runs import StepView, WorkflowRun, list_workflows, steps_of
from ..flags import whole
from .base import OK, UNDONE, Options, Subcommand
from .groups import Group, add_yes
from .looking import told_of_away
from .output import Output
from .tables import Table
from .words import age, ago, at_local

#: Workflows that a question names.
NAMED = 3


class ListWorkflows(Subcommand):
    name = "list"
    help = gettext_lazy("List workflows, newest first.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--status",
            action="append",
            type=_status,
            metavar="STATE",
            help=_("Workflows in this state; may be repeated."),
        )
        parser.add_argument("--name", metavar="NAME", help=_("Workflows of this name."))
        parser.add_argument(
            "--limit", type=whole, default=50, metavar="N", help=_("Workflows on a page (default: 50).")
        )
        parser.add_argument("--after", metavar="ID", help=_("Where the page before ended."))

    def run(self, options: Options, out: Output) -> int:
        after = None if options["after"] is None else find_workflow(options["after"]).id
        runs = list_workflows(statuses=options["status"], name=options["name"], after=after, limit=options["limit"])
        progress = progress_of_runs(runs)
        titles = [_("id"), _("status"), _("name"), _("steps"), _("created"), _("took")]
        table = Table(titles, numbers=[3], under=[[2]])
        for run in runs:
            took = None if run.duration is None else run.duration.total_seconds()
            table.add(run.id, run.status.value, run.name, str(progress[run.id]), ago(run.created_at), age(took))
        out.table(table, _("No workflow matches."))
        next_after = runs[-1].id if len(runs) == options["limit"] else None
        if next_after is not None:
            out.say(_("Go on with --after {id}").format(id=next_after))
        out.data({"workflows": [_facts(run, progress[run.id]) for run in runs], "after": next_after})
        return OK


class ShowWorkflow(Subcommand):
    name = "show"
    help = gettext_lazy("Show one workflow: its steps and their states.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help=_("Its id, or a beginning that no other has."))
        parser.add_argument("--limit", type=whole, default=100, metavar="N", help=_("Steps on a page (default: 100)."))
        parser.add_argument(
            "--after", type=int, default=-1, metavar="N", help=_("The position at which the page before ended.")
        )
        parser.add_argument("--members", action="store_true", help=_("All members of steps with for_each."))
        parser.add_argument("--failed", action="store_true", help=_("Only what failed, members too."))

    def run(self, options: Options, out: Output) -> int:
        run = find_workflow(options["id"])
        steps = steps_of(
            run.id,
            after=options["after"],
            limit=options["limit"],
            statuses=[StepStatus.FAILURE] if options["failed"] else None,
            members=options["members"] or options["failed"],
        )
        progress = progress_of_runs([run])[run.id]
        out.facts(
            {
                _("id"): run.id,
                _("name"): run.name,
                _("status"): run.status.value,
                _("progress"): str(progress),
                _("created"): at_local(run.created_at),
                _("started"): at_local(run.started_at),
                _("finished"): at_local(run.finished_at),
            }
        )
        out.say()
        titles = [_("step"), _("status"), _("task"), _("attempts"), _("id of its task"), _("error")]
        table = Table(titles, numbers=[3], under=[[2], [5]])
        for step in steps:
            job = "" if step.members else step.job_id
            table.add(step.name, _state_words(step), step.task, step.attempts, job, step.reason)
        out.table(table)
        after = steps[-1].position if len(steps) == options["limit"] else None
        if after is not None:
            out.say(_("Go on with --after {id}").format(id=after))
        away = {step.backend: step.away for step in steps if step.away}
        steps_facts = [_step_facts(step) for step in steps]
        out.data({**_facts(run, progress), "steps": steps_facts, "after": after, "away": away})
        return told_of_away(out, away)


class ActOnWorkflows(Subcommand):
    """One of WORKFLOW_ACTIONS."""

    acts = True

    def __init__(self, action: WorkflowAction) -> None:
        self.action = action
        self.name, self.help = action.name, action.help

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="+", metavar="ID", help=_("Ids, or beginnings that no other workflow has."))
        if self.action.destroys:
            add_yes(parser)

    def run(self, options: Options, out: Output) -> int:
        runs: dict[str, WorkflowRun] = {}
        left: dict[str, str] = {}
        for given in options["ids"]:
            try:
                run = find_workflow(given)
            except WorkflowNotFound as exc:
                left[given] = str(exc)
            else:
                runs[run.id] = run
        if self.action.destroys and runs and not out.confirm(self._question(runs), is_agreed=options["yes"]):
            out.warn(_("Nothing was done."))
            return UNDONE
        took = []
        for id_, run in runs.items():
            if run.status in self.action.applies_to and self.action.does(run):
                took.append(id_)
            else:
                left[id_] = _("It is {status}.").format(status=run.refresh().status.value)
        for id_, reason in left.items():
            out.warn(f"{id_}: {reason}")
        out.say(_("Done with {took} of {all}.").format(took=len(took), all=len(took) + len(left)))
        out.data({"action": self.name, "count": len(took), "took": took, "left": left})
        return UNDONE if left else OK

    def _question(self, runs: Mapping[str, WorkflowRun]) -> str:
        """Return the question, with how many workflows it is about, and the names of the first of them."""
        names = [run.name for run in runs.values()]
        shown = ", ".join([*map(repr, names[:NAMED]), *(["…"] if len(names) > NAMED else [])])
        words = ngettext("{number} workflow: {names}.", "{number} workflows: {names}. Of each:", len(names))
        return f"{words.format(number=len(names), names=shown)} {self.action.question}"


class Workflows(Group):
    name = "workflows"
    help = gettext_lazy("See workflows with their steps; cancel and retry them.")

    def __init__(self) -> None:
        acting = [ActOnWorkflows(action) for action in WORKFLOW_ACTIONS.values()]
        super().__init__([ListWorkflows(), ShowWorkflow(), *acting])

    def run(self, options: Options, out: Output) -> int:
        with reading_workflows():
            return super().run(options, out)


def _status(text: str) -> ChainStatus:
    try:
        return ChainStatus(text.upper())
    except ValueError:
        known = [each.lower() for each in ChainStatus]
        words = _("is no state of a workflow: {text}{hint}. There are {known}.")
        raise argparse.ArgumentTypeError(
            words.format(text=repr(text), hint=did_you_mean(text.lower(), known), known=", ".join(known))
        ) from None


def _state_words(step: StepView) -> str:
    """Return a step's state; of one with `for_each` also how many of its members have ended."""
    if step.members is None:
        return step.state.value
    done, total = step.members
    return f"{step.state.value} {_('{done} of {total}').format(done=done, total=total)}"


def _facts(run: WorkflowRun, progress: WorkflowProgress) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status.value,
        "done": progress.ended,
        "succeeded": progress.succeeded,
        "total": progress.total,
        "created_at": moment_text(run.created_at),
        "started_at": moment_text(run.started_at),
        "finished_at": moment_text(run.finished_at),
    }


def _step_facts(step: StepView) -> dict[str, Any]:
    return {
        "position": step.position,
        "name": step.name,
        "task": step.task,
        "state": step.state.value,
        "job_id": step.job_id,
        "backend": step.backend,
        "queue": step.queue,
        "attempts": step.attempts,
        "on_failure": step.on_failure,
        "handles": step.handles,
        "ready_at": moment_text(step.ready_at),
        "started_at": moment_text(step.started_at),
        "finished_at": moment_text(step.finished_at),
        "error": step.error or None,
        "members": step.members and list(step.members),
        "member_of": step.member_of,
    }
