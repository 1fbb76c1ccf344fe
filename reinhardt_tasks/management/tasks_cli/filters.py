"""The flags that say which tasks are meant: by ids, or by what they are like."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import operations
from ...exceptions import OperationRefused
from ...jobs import TaskStatus
from ...operations import Query, Store
from ...registry import registry
from ...suggestions import did_you_mean
from .base import Options
from .words import at_local, moment, status, task_name

#: The flags of a search: name → (type, metavar, help).
_FLAGS: dict[str, tuple[Callable[[str], Any], str, Promise]] = {
    "--queue": (str, "NAME", gettext_lazy("Tasks of this queue.")),
    "--name": (str, "TASK", gettext_lazy("Tasks of this name, whole or its last part.")),
    "--worker": (str, "ID", gettext_lazy("Tasks of this worker.")),
    "--since": (moment, "WHEN", gettext_lazy("Enqueued since: 2h (ago), 7d, 2026-01-31T08:00.")),
    "--until": (moment, "WHEN", gettext_lazy("Enqueued before.")),
    "--finished-since": (moment, "WHEN", gettext_lazy("Finished since.")),
    "--finished-until": (moment, "WHEN", gettext_lazy("Finished before.")),
    "--exception": (str, "CLASS", gettext_lazy("Last failed with this class, whole or its last part.")),
    "--place": (str, "PLACE", gettext_lazy("Last failed here, as `failures` writes it: file:line in function.")),
    "--text": (str, "WORDS", gettext_lazy("With these letters in the arguments; looks at a bounded number of tasks.")),
}


def add_filters(parser: CommandParser, *, with_status: bool = True) -> None:
    group = parser.add_argument_group(_("which tasks"))
    if with_status:
        group.add_argument(
            "--status", action="append", type=status, metavar="STATE", help=_("Tasks in this state; may be repeated.")
        )
    for flag, (kind, metavar, words) in _FLAGS.items():
        group.add_argument(flag, type=kind, metavar=metavar, help=str(words))


def query_of(options: Options) -> Query:
    """Return the search that the flags ask for."""
    statuses: list[TaskStatus] | None = options.get("status")
    name = options["name"]
    return Query(
        statuses=tuple(dict.fromkeys(statuses)) if statuses else None,
        queue=options["queue"],
        name=None if name is None else task_name(name),
        worker=options["worker"],
        enqueued_since=options["since"],
        enqueued_until=options["until"],
        finished_since=options["finished_since"],
        finished_until=options["finished_until"],
        exception=options["exception"],
        place=options["place"],
        text=options["text"],
    )


def filters_in_words(options: Options) -> str:
    """Return the filters as they would be typed, moments and names as they are understood; '' for none."""
    words: list[str] = []
    for each in dict.fromkeys(options.get("status") or ()):
        words += ["--status", each.lower()]
    for flag in _FLAGS:
        value = options[flag.removeprefix("--").replace("-", "_")]
        if isinstance(value, datetime):
            value = at_local(value)
        elif value is not None and flag == "--name":
            value = task_name(value)
        if value is not None:
            words += [flag, value]
    return shlex.join(words)


def has_filters(options: Options) -> bool:
    return query_of(options) != Query()


def hint_at_names(query: Query, stores: list[Store]) -> str:
    """Return a hint for a search that found nothing: a name or a queue that is nearly another."""
    if query.name is not None and not registry.has(query.name):
        return _unknown_name(query.name)
    if query.queue is not None:
        named = {queue for store in stores for queue in store.backend.queues}
        if named and query.queue not in named:
            return _("No backend has a queue {queue}{near}.").format(
                queue=repr(query.queue), near=did_you_mean(query.queue, named)
            )
    return ""


def refuse_unknown_name(query: Query, stores: list[Store]) -> None:
    """Raise OperationRefused for a name that no task has, neither here nor, where all of them answer, in a store."""
    if query.name is None or registry.has(query.name):
        return
    found = operations.list_tasks(Query(name=query.name), of=stores, limit=1)
    if not found.tasks and not found.away and not found.is_cut:
        raise OperationRefused(_unknown_name(query.name))


def refuse_queue_of_none(query: Query, stores: list[Store]) -> None:
    """Raise OperationRefused for a queue that none of the stores has, nor, where all of them answer, any of their tasks."""
    if query.queue is None:
        return
    # One that the settings name no more may still have tasks that ended.
    found = operations.list_tasks(Query(queue=query.queue), of=stores, limit=1)
    if not found.tasks and not found.away:
        refuse_unknown_queue(query.queue, stores)


def refuse_unknown_queue(queue: str, stores: list[Store]) -> None:
    """Raise OperationRefused for a queue that none of the stores has."""
    refusal: OperationRefused | None = None
    for store in stores:
        try:
            operations.check_queue_name(store, queue)
            return
        except OperationRefused as exc:
            refusal = refusal or exc
    if refusal is not None:
        raise refusal


def _unknown_name(name: str) -> str:
    return _("No task is registered as {name}{near}.").format(name=repr(name), near=did_you_mean(name, registry.list()))


def resolved(ids: list[str], stores: list[Store]) -> list[tuple[Store, list[str]]]:
    """Return whole ids for given ones, or beginnings of some, by store. Raise what find_task() raises."""
    found: dict[str, tuple[Store, list[str]]] = {}
    for given in dict.fromkeys(ids):
        store, job = operations.find_task(given, of=stores)
        known = found.setdefault(store.alias, (store, []))[1]
        if job.id not in known:
            known.append(job.id)
    return list(found.values())


def refuse_both(ids: list[str], options: Options) -> None:
    """Raise OperationRefused unless tasks are named by ids, or by --all, and not by both."""
    if ids and (options["all"] or has_filters(options)):
        raise OperationRefused(_("Name tasks by their ids, or by --all and filters, not by both."))
    if not ids and not options["all"]:
        raise OperationRefused(
            _("Filters need --all: say `--all` to mean every task that matches.")
            if has_filters(options)
            else _("Name the tasks: their ids, or --all with filters.")
        )
