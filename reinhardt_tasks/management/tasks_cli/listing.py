"""`tasks list`: tasks that match, newest first, a page at a time."""

from __future__ import annotations

from dataclasses import replace

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import operations
from ...cuts import beginning
from ...jobs import TaskId, TaskStatus
from ...operations import Store
from ..flags import whole
from .base import AWAY, OK, Options, Subcommand, chosen_stores
from .filters import add_filters, hint_at_names, query_of
from .output import Output
from .tables import Table
from .words import ago, status_words

_UNSUCCESSFUL = {TaskStatus.RETRY, TaskStatus.FAILURE, TaskStatus.CANCELLED}


class List(Subcommand):
    name = "list"
    help = gettext_lazy("List tasks, newest first.")

    def add_arguments(self, parser: CommandParser) -> None:
        add_filters(parser)
        parser.add_argument("--id", metavar="PREFIX", help=_("Tasks whose id begins so."))
        parser.add_argument("--limit", type=whole, default=50, metavar="N", help=_("Tasks on a page (default: 50)."))
        parser.add_argument("--after", metavar="ID", help=_("Where the page before ended."))

    def run(self, options: Options, out: Output) -> int:
        stores = chosen_stores(options)
        query = replace(query_of(options), id_prefix=options["id"])
        listing = operations.list_tasks(
            query, of=stores, after=_place(options["after"], stores), limit=options["limit"]
        )
        titles = [_("id"), _("status"), _("queue"), _("task"), _("arguments"), _("enqueued"), _("exception")]
        table = Table(titles, under=[[3, 4], [6]])
        for task in listing.tasks:
            table.add(
                task.id,
                status_words(task),
                task.queue if len(stores) == 1 else f"{task.backend}:{task.queue}",
                task.name,
                beginning(task.call.problem or str(task.call), 60),
                ago(task.enqueued_at),
                # A success keeps that of an attempt before it, which nobody has to look at.
                beginning(task.exception_line, 60) if task.status in _UNSUCCESSFUL else "",
            )
        # What a store that is away has, nobody knows.
        out.table(table, "" if listing.away else _("No task matches."))
        if not listing.tasks and not listing.away and (hint := hint_at_names(query, stores)):
            out.warn(hint)
        if listing.is_cut:
            out.warn(_("Only a part of the tasks was looked at: there may be older ones that match."))
        if listing.after:
            out.say(_("Go on with --after {id}").format(id=listing.after))
        for alias, reason in listing.away.items():
            out.warn(_("{alias} is away: {reason}").format(alias=alias, reason=reason))
        out.data(
            {
                "tasks": [task.as_json() for task in listing.tasks],
                "after": listing.after,
                "is_cut": listing.is_cut,
                "away": dict(listing.away),
            }
        )
        return AWAY if listing.away else OK


def _place(after: str | None, stores: list[Store]) -> str | None:
    """Return the id behind which a page begins. That task may be gone by now; a beginning is that of one that is there."""
    if after is None:
        return None
    try:
        return str(TaskId(after))
    except ValueError:
        return operations.find_task(after, of=stores)[1].id
