"""`tasks requeue | check-queue`: tasks that wait for what will not come by itself, and such as nobody could run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import operations
from ...operations import Store
from ..flags import whole
from .acting import Stride, work_off
from .base import OK, UNDONE, Options, Subcommand, chosen_stores
from .filters import refuse_unknown_queue
from .output import Output
from .tables import Table


class Requeue(Subcommand):
    name = "requeue"
    help = gettext_lazy("Run again what dead workers held, and what nobody knew the name of and is known now.")
    acts = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lost", action="store_true", help=_("Only tasks of workers that were lost."))
        parser.add_argument("--unknown", action="store_true", help=_("Only tasks whose name was unknown."))

    def run(self, options: Options, out: Output) -> int:
        stores = chosen_stores(options)
        return work_off(out, self.name, _strides(stores, options), stores=stores)


def _strides(stores: list[Store], options: Options) -> Iterator[Stride]:
    is_all = not options["lost"] and not options["unknown"]
    for store in stores:
        if is_all or options["lost"]:
            for done in operations.requeue_lost(store):
                yield Stride(store=store, count=len(done.took), missed=len(done.left))
        if is_all or options["unknown"]:
            for step in operations.requeue_unknown(store):
                yield Stride(store=store, count=len(step.done.took), missed=len(step.done.left))


class CheckQueue(Subcommand):
    name = "check-queue"
    help = gettext_lazy(
        "Look for waiting tasks that this code could not run: unknown names, arguments that do not fit."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", metavar="NAME", help=_("Tasks of this queue."))
        parser.add_argument(
            "--limit", type=whole, default=10_000, metavar="N", help=_("Waiting tasks to look at (default: 10000).")
        )

    def run(self, options: Options, out: Output) -> int:
        table = Table([_("tasks"), _("name"), _("problem"), _("for example")], numbers=[0], under=[[1], [2]])
        backends = []
        stores = chosen_stores(options)
        # A gate at a deploy: that nothing was found is not to mean that nothing was looked for.
        if options["queue"] is not None:
            refuse_unknown_queue(options["queue"], stores)
        for store in stores:
            check = operations.QueueCheck(looked_at=0)
            for check in operations.check_queue(store, options["queue"], limit=options["limit"]):
                out.progress(check.looked_at)
            for finding in check.findings:
                table.add(finding.count, finding.name, finding.problem, finding.examples[0])
            if check.is_cut:
                out.warn(
                    _("{alias}: the newest {number} waiting tasks were looked at; there are more.").format(
                        alias=store.alias, number=check.looked_at
                    )
                )
            backends.append({"backend": store.alias, **asdict(check)})
        out.end()
        out.table(table, _("All waiting tasks that were looked at can be run."))
        out.data({"backends": backends})
        return UNDONE if table.rows else OK
