"""`tasks workers | failures`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ... import operations
from ...operations import WorkerAtWork
from ...operations.facts import moment_text
from ..flags import whole
from .base import AWAY, OK, Options, Subcommand, chosen_stores
from .filters import add_filters, hint_at_names, query_of
from .output import Output
from .tables import Table
from .words import age, ago, how_far, size


class Workers(Subcommand):
    name = "workers"
    help = gettext_lazy(
        "List the workers, and what each runs: those that live, and lost ones while anything is theirs."
    )

    def run(self, options: Options, out: Output) -> int:
        found = operations.at_work(of=chosen_stores(options))
        titles = [
            _("worker"),
            _("backend"),
            _("name"),
            _("host"),
            _("process"),
            _("queues"),
            _("running"),
            _("memory"),
            _("heartbeat"),
            _("started"),
            "",
        ]
        table = Table(titles, numbers=[4, 6, 7], under=[[5], [0]])
        for worker in (each.worker for each in found.workers):
            table.add(
                worker.id,
                worker.backend,
                worker.name,
                worker.host,
                worker.pid,
                ", ".join(worker.queues) or _("all"),
                f"{worker.running} / {worker.slots}",
                size(worker.memory),
                age(worker.beat_age),
                ago(worker.started_at),
                "" if worker.is_alive else _("lost"),
            )
        out.table(table, "" if found.away else _("There are no workers."))
        _tell_tasks(found.workers, out)
        out.data({"workers": [_worker_json(each) for each in found.workers], "away": dict(found.away)})
        return told_of_away(out, dict(found.away))


def _tell_tasks(workers: Sequence[WorkerAtWork], out: Output) -> None:
    """Tell people what runs, below the workers."""
    table = Table([_("task"), _("started"), _("progress"), _("id"), _("worker")], under=[[3], [4]])
    for each in workers:
        for task in each.tasks:
            table.add(task.name, ago(task.last_attempted_at), how_far(task.progress) or "", task.id, each.worker.id)
    if table.rows:
        out.say()
        out.table(table)
    if left := sum(each.number_left for each in workers):
        out.say(ngettext("and {number} more", "and {number} more", left).format(number=f"{left:,}"))


def _worker_json(each: WorkerAtWork) -> dict[str, Any]:
    facts = (task.as_json() for task in each.tasks)
    return {**_json(asdict(each.worker)), "tasks": [{name: task[name] for name in _OF_A_TASK} for task in facts]}


#: What is told of a running task, by the names that it has elsewhere.
_OF_A_TASK = ("id", "name", "queue", "last_attempted_at", "progress")


class Failures(Subcommand):
    name = "failures"
    help = gettext_lazy("Group the newest failed tasks by task, exception and line.")

    def add_arguments(self, parser: CommandParser) -> None:
        add_filters(parser, with_status=False)
        parser.add_argument(
            "--newest",
            type=whole,
            default=1000,
            metavar="N",
            help=_("Of each backend, look at this many (default: 1000)."),
        )

    def run(self, options: Options, out: Output) -> int:
        query, stores = query_of(options), chosen_stores(options)
        found = operations.failures(query, of=stores, newest=options["newest"])
        titles = [_("tasks"), _("task"), _("exception"), _("where"), _("last"), _("for example")]
        table = Table(titles, numbers=[0], under=[[1], [2], [3]])
        for group in found.groups:
            table.add(
                group.count, group.name, group.message or group.exception, group.place, ago(group.last_at), group.id
            )
        out.table(table, "" if found.away else _("Nothing failed."))
        if not found.groups and not found.away and (hint := hint_at_names(query, stores)):
            out.warn(hint)
        if found.is_cut:
            out.warn(
                _("The newest {number} failed tasks were looked at; there are older ones.").format(
                    number=found.looked_at
                )
            )
        out.data(
            {
                "groups": [_json(asdict(group)) for group in found.groups],
                "looked_at": found.looked_at,
                "is_cut": found.is_cut,
                "away": dict(found.away),
            }
        )
        return told_of_away(out, dict(found.away))


def told_of_away(out: Output, away: dict[str, str]) -> int:
    for alias, reason in away.items():
        out.warn(_("{alias} is away: {reason}").format(alias=alias, reason=reason))
    return AWAY if away else OK


def _json(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: moment_text(value) if hasattr(value, "isoformat") else value for name, value in facts.items()}
