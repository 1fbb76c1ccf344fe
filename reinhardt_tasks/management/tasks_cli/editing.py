"""`tasks edit | run-again`: other arguments for a task, and a finished one once more."""

from __future__ import annotations

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import operations
from ...exceptions import OperationRefused
from .base import OK, Options, Subcommand, chosen_stores
from .calls import add_call
from .output import Output


class Edit(Subcommand):
    acts = True
    name = "edit"
    help = gettext_lazy(
        "Give a task other arguments: a failed one is retried with them, a finished one is enqueued anew."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help=_("Its id, or a beginning that no other has."))
        add_call(parser)
        parser.add_argument(
            "--no-run", action="store_true", help=_("Leave a failed one as it is, with its new arguments.")
        )

    def run(self, options: Options, out: Output) -> int:
        if options["call_args"] is None and options["call_kwargs"] is None:
            raise OperationRefused(_("Say what the arguments are to be: --args, --kwargs or both."))
        store, job = operations.find_task(options["id"], of=chosen_stores(options))
        # What is not given stays; so do redacted ones, for which the placeholder stands.
        shown = operations.arguments_of(job)
        args = shown.args if options["call_args"] is None else options["call_args"]
        kwargs = shown.kwargs if options["call_kwargs"] is None else options["call_kwargs"]
        id_ = operations.edit(store, job.id, args, kwargs, run=not options["no_run"], seen=job.status)
        return _told(out, self.name, job.id, id_)


class RunAgain(Subcommand):
    acts = True
    name = "run-again"
    help = gettext_lazy("Enqueue a finished task once more, under a new id.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID", help=_("Its id, or a beginning that no other has."))

    def run(self, options: Options, out: Output) -> int:
        store, job = operations.find_task(options["id"], of=chosen_stores(options))
        return _told(out, self.name, job.id, operations.run_again(store, job.id))


def _told(out: Output, action: str, of: str, id_: str) -> int:
    out.say(id_)
    out.data({"action": action, "of": of, "id": id_})
    return OK
