"""`tasks pause | resume | clear | prune`: what is done to whole queues."""

from __future__ import annotations

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ... import operations
from ...exceptions import OperationRefused
from ...operations import Store
from ...operations.queues import waiting_in
from .acting import Stride, work_off
from .base import OK, UNDONE, Options, Subcommand, chosen_stores
from .output import Output
from .words import at_local, moment


class OnQueue(Subcommand):
    """Does one thing to queues of one backend."""

    acts = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queues", nargs="+", metavar="QUEUE", help=_("Names of queues."))


class Switching(OnQueue):
    """Does one thing to each of the queues, and says it."""

    def switch(self, store: Store, queue: str) -> str:
        raise NotImplementedError

    def run(self, options: Options, out: Output) -> int:
        store = one_store(options)
        _check(store, options["queues"])
        for queue in options["queues"]:
            out.say(self.switch(store, queue))
        out.data({"action": self.name, "backend": store.alias, "queues": options["queues"]})
        return OK


class Pause(Switching):
    name = "pause"
    help = gettext_lazy("Let no task of a queue begin until it is resumed; what runs goes on.")

    def switch(self, store: Store, queue: str) -> str:
        operations.pause(store, queue)
        return _("Queue {queue} is paused.").format(queue=repr(queue))


class Resume(Switching):
    name = "resume"
    help = gettext_lazy("Let the tasks of a paused queue begin again.")

    def switch(self, store: Store, queue: str) -> str:
        operations.resume(store, queue)
        return _("Queue {queue} is open.").format(queue=repr(queue))


class Clear(OnQueue):
    name = "clear"
    help = gettext_lazy("Delete all that waits in a queue; what runs goes on, what has finished stays.")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help=_("Do not ask."))

    def run(self, options: Options, out: Output) -> int:
        store = one_store(options)
        _check(store, options["queues"])
        bounds = {queue: operations.bound_of(store, waiting_in(queue)) for queue in options["queues"]}
        count = operations.count_waiting(store, options["queues"])
        words = ngettext(
            "Delete {number} waiting task of {queues}?", "Delete {number} waiting tasks of {queues}?", count.number
        )
        question = words.format(number=count, queues=", ".join(map(repr, options["queues"])))
        if not out.confirm(question, is_agreed=options["yes"]):
            out.warn(_("Nothing was done."))
            return UNDONE

        # Whoever stops it begins anew: what was deleted is gone.
        strides = (
            Stride(store=store, count=len(step.done.took), missed=len(step.done.left))
            for queue, bound in bounds.items()
            for step in operations.clear(store, queue, after=bound)
        )
        return work_off(out, self.name, strides, count)


class Prune(Subcommand):
    name = "prune"
    help = gettext_lazy("Delete tasks that finished before a moment.")
    acts = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--before", type=moment, required=True, metavar="WHEN", help=_("As in 30d (ago), or 2026-01-31T08:00.")
        )
        parser.add_argument("--yes", action="store_true", help=_("Do not ask."))

    def run(self, options: Options, out: Output) -> int:
        stores = chosen_stores(options)
        question = _("Delete every task that finished before {moment}, in {backends}?").format(
            moment=at_local(options["before"]), backends=", ".join(map(str, stores))
        )
        if not out.confirm(question, is_agreed=options["yes"]):
            out.warn(_("Nothing was done."))
            return UNDONE

        strides = (
            Stride(store=store, count=number)
            for store in stores
            for number in operations.prune(store, options["before"])
        )
        return work_off(out, self.name, strides, stores=stores)


def one_store(options: Options) -> Store:
    """Return the one store that is meant. Raise OperationRefused where there are several: queues may share a name."""
    stores = chosen_stores(options)
    if len(stores) != 1:
        names = ", ".join(repr(store.alias) for store in stores)
        raise OperationRefused(_("Say which backend: --backend, of {names}.").format(names=names or "–"))
    return stores[0]


def _check(store: Store, queues: list[str]) -> None:
    for queue in queues:
        operations.check_queue_name(store, queue)
