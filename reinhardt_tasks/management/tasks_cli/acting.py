"""`tasks retry | cancel | discard | run-now | change`: on ids, or on all that match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ... import operations
from ...brokers.base import Changes
from ...exceptions import OperationRefused, QueueError
from ...operations import Action, Count, Query, Store
from ...operations.stores import STORE_ERRORS
from ..flags import whole
from .base import INTERRUPTED, OK, UNDONE, Options, Subcommand, chosen_stores
from .filters import (
    add_filters,
    filters_in_words,
    query_of,
    refuse_both,
    refuse_queue_of_none,
    refuse_unknown_name,
    resolved,
)
from .looking import told_of_away
from .output import Output
from .words import moment_to_come


class Acting(Subcommand):
    """Does one thing to tasks."""

    acts = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID", help=_("Ids, or beginnings that no other task has."))
        parser.add_argument("--all", action="store_true", help=_("Every task that matches the filters."))
        add_filters(parser)
        parser.add_argument(
            "--limit", type=whole, metavar="N", help=_("With --all: of each backend this many at most.")
        )
        parser.add_argument(
            "--after", metavar="ID", help=_("With --all and one --backend: go on where it was stopped.")
        )
        parser.add_argument("--yes", action="store_true", help=_("Do not ask."))
        parser.add_argument("--dry-run", action="store_true", help=_("Say which tasks it would be, and do nothing."))

    def deed(self, options: Options) -> Action | Changes:
        raise NotImplementedError

    def run(self, options: Options, out: Output) -> int:
        refuse_both(options["ids"], options)
        stores = chosen_stores(options)
        if options["after"] and len(stores) != 1:
            raise OperationRefused(_("--after is about one backend: name it with --backend."))
        return self._run_on_ids(options, out, stores) if options["ids"] else self._run_on_all(options, out, stores)

    def _run_on_ids(self, options: Options, out: Output, stores: list[Store]) -> int:
        chosen = resolved(options["ids"], stores)
        ids = [id_ for _store, some in chosen for id_ in some]
        if options["dry_run"]:
            return _tell_of_rehearsal(out, self.name, Listed(ids=ids))
        deed = self.deed(options)
        if isinstance(deed, Action) and deed is operations.DISCARD:
            question = ngettext("Delete {number} task for good?", "Delete {number} tasks for good?", len(ids))
            if not out.confirm(question.format(number=len(ids)), is_agreed=options["yes"]):
                return _undone(out)
        took: list[str] = []
        left: dict[str, str] = {}
        for store, some in chosen:
            done = (
                operations.act(store, deed, some) if isinstance(deed, Action) else operations.change(store, some, deed)
            )
            took += done.took
            left.update(done.left)
        for id_, reason in left.items():
            out.warn(f"{id_}: {reason}")
        out.say(_("Done with {took} of {all}.").format(took=len(took), all=len(took) + len(left)))
        out.data({"action": self.name, "count": len(took), "took": took, "left": left, "after": None})
        return UNDONE if left else OK

    def _run_on_all(self, options: Options, out: Output, stores: list[Store]) -> int:
        meant = query_of(options)
        refuse_unknown_name(meant, stores)
        refuse_queue_of_none(meant, stores)
        query = operations.narrowed_to(meant, self.deed(options))
        if not query.statuses:
            raise OperationRefused(
                _("{action} takes no tasks in the states that --status names.").format(action=self.name)
            )
        if options["dry_run"]:
            listing = operations.list_tasks(query, of=stores, after=options["after"], limit=options["limit"] or 20)
            ids = [task.id for task in listing.tasks]
            return _tell_of_rehearsal(out, self.name, Listed(ids=ids, after=listing.after, away=listing.away))
        # What is enqueued while somebody makes up their mind, or while another backend's turn is, is left alone.
        bounds = [(store, operations.bound_of(store, query, options["after"])) for store in stores]
        count = None
        # What nobody is told needs no counting.
        if not options["yes"] or out.shows_progress:
            count = operations.count_tasks(query, of=stores, after=options["after"], limit=options["limit"])
        if count is not None and not out.confirm(self._question(options, count, stores), is_agreed=options["yes"]):
            return _undone(out)
        return work_off(out, self.name, self._strides(options, query, bounds), count, stores)

    def _question(self, options: Options, count: Count, stores: list[Store]) -> str:
        words = ngettext(
            "{action}: {number} task in {backends} ({filters})?",
            "{action}: {number} tasks in {backends} ({filters})?",
            count.number,
        )
        return words.format(
            action=self.name,
            number=count,
            backends=", ".join(map(str, stores)),
            filters=filters_in_words(options) or _("no filters"),
        )

    def _strides(self, options: Options, query: Query, bounds: list[tuple[Store, str]]) -> Iterator[Stride]:
        for store, bound in bounds:
            for step in operations.on_all(store, self.deed(options), query, after=bound, limit=options["limit"]):
                yield Stride(store=store, count=len(step.done.took), missed=len(step.done.left), after=step.after)


@dataclass(frozen=True, kw_only=True)
class Stride:
    """One batch of something long: how many tasks it took, how many it left, and where another begins."""

    store: Store
    count: int
    missed: int = 0
    after: str | None = None


def work_off(
    out: Output, name: str, strides: Iterator[Stride], of: Count | None = None, stores: Sequence[Store] = ()
) -> int:
    """Do batch by batch what is long, and tell how far it is `of` so many.

    At a Ctrl-C, or where a store goes away, say where to go on, and which of `stores`, done in this order, are left.
    """
    total = None if of is None or of.is_at_least else of.number
    count = missed = 0
    last: Stride | None = None
    try:
        for last in strides:
            count += last.count
            missed += last.missed
            out.progress(count, total)
    except KeyboardInterrupt:
        _tell_stopped(out, name, count, last, stores)
        return INTERRUPTED
    except STORE_ERRORS as exc:
        _tell_stopped(out, name, count, last, stores)
        raise QueueError(str(exc)) from exc
    out.end()
    words = ngettext("Done with {number} task.", "Done with {number} tasks.", count).format(number=count)
    if missed:
        words += " " + ngettext(
            "{number} changed meanwhile and was left.", "{number} changed meanwhile and were left.", missed
        ).format(number=missed)
    out.say(words)
    out.data({"action": name, "count": count, "took": None, "left": None, "after": None})
    return UNDONE if missed else OK


def _tell_stopped(out: Output, name: str, count: int, last: Stride | None, stores: Sequence[Store]) -> None:
    """Say how much is done, where the store that was begun last goes on, and which ones were not begun."""
    aliases = [store.alias for store in stores]
    begun = 0 if last is None or last.store.alias not in aliases else aliases.index(last.store.alias) + 1
    alias = after = None
    if last is not None and last.after is not None:
        alias, after = last.store.alias, last.after
    out.warn(ngettext("Stopped after {number} task.", "Stopped after {number} tasks.", count).format(number=count))
    if after is not None:
        out.warn(_("Go on with --backend {alias} --after {id}").format(alias=alias, id=after))
    if begun and aliases[begun:]:
        out.warn(_("Not begun: {backends}").format(backends=" ".join(f"--backend {each}" for each in aliases[begun:])))
    out.data(
        {
            "action": name,
            "count": count,
            "took": None,
            "left": None,
            "after": after,
            "backend": alias,
            "not_begun": aliases[begun:],
        }
    )


class Retry(Acting):
    name = "retry"
    help = gettext_lazy("Run failed and cancelled tasks again, their history kept.")

    def deed(self, options: Options) -> Action:
        return operations.RETRY


class Cancel(Acting):
    name = "cancel"
    help = gettext_lazy("Cancel tasks: waiting ones never run, running ones are told to stop.")

    def deed(self, options: Options) -> Action:
        return operations.CANCEL


class Discard(Acting):
    name = "discard"
    help = gettext_lazy("Delete tasks that do not run, with all that is known of them.")

    def deed(self, options: Options) -> Action:
        return operations.DISCARD


class RunNow(Acting):
    name = "run-now"
    help = gettext_lazy("Make tasks ready that wait for their time, or for another attempt.")

    def deed(self, options: Options) -> Action:
        return operations.RUN_NOW


class Change(Acting):
    name = "change"
    help = gettext_lazy("Change the priority, the queue or the time of tasks that wait.")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--to-priority", type=int, metavar="N", help=_("From -100 to 100; higher begins first."))
        parser.add_argument("--to-queue", metavar="NAME", help=_("Another queue of the same backend."))
        parser.add_argument(
            "--at", type=moment_to_come, metavar="WHEN", help=_("Not before: 2h (from now), or a moment.")
        )

    def deed(self, options: Options) -> Changes:
        return Changes(priority=options["to_priority"], queue=options["to_queue"], run_after=options["at"])

    def run(self, options: Options, out: Output) -> int:
        # Before anybody is asked.
        for store in chosen_stores(options):
            operations.check_changes(store, self.deed(options))
        return super().run(options, out)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The tasks that an action would take, where the next ones begin, and the stores that did not say (alias → why)."""

    ids: list[str]
    after: str | None = None
    away: Mapping[str, str] = field(default_factory=dict)


def _tell_of_rehearsal(out: Output, name: str, listed: Listed) -> int:
    number = len(listed.ids)
    for id_ in listed.ids:
        out.say(id_)
    more = "+" if listed.after is not None or listed.away else ""
    words = ngettext(
        "{action}: {number} task. Nothing was done.", "{action}: {number} tasks. Nothing was done.", number
    )
    out.say(words.format(action=name, number=f"{number}{more}"))
    away = dict(listed.away)
    out.data({"action": name, "dry_run": True, "ids": listed.ids, "after": listed.after, "away": away})
    return told_of_away(out, away)


def _undone(out: Output) -> int:
    out.warn(_("Nothing was done."))
    return UNDONE
