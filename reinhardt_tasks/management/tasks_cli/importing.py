"""`tasks import`: bring over schedules and waiting tasks from the tables of another system."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ...exceptions import OperationRefused
from ...moving import SOURCES, Choices, Found, Verdict, chosen_sources
from ...moving.choices import FIRST_PRIORITIES
from .base import OK, UNDONE, Options, Subcommand, chosen_stores
from .output import Output
from .tables import Table

#: Ids that are named of tasks to which the same happens.
_EXAMPLES = 3


class Import(Subcommand):
    acts = True
    name = "import"
    help = gettext_lazy(
        "Bring over schedules and waiting tasks of another task system; a second time nothing is left to do."
    )

    backend_help = gettext_lazy("The one alias in TASKS to which everything goes; else where each task says.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from",
            dest="sources",
            action="append",
            choices=list(SOURCES),
            help=_("Where from; may be repeated (default: every one whose app is installed)."),
        )
        parser.add_argument("--dry-run", action="store_true", help=_("Say what becomes of each, and do nothing."))
        parser.add_argument("--off", action="store_true", help=_("Bring schedules switched off."))
        parser.add_argument(
            "--rename", action="append", default=[], type=pair, metavar="OLD=NEW", help=_("Another name for a task.")
        )
        parser.add_argument(
            "--rename-queue",
            action="append",
            default=[],
            type=pair,
            metavar="OLD=NEW",
            help=_("Another name for a queue."),
        )
        parser.add_argument(
            "--first-priority",
            type=int,
            choices=FIRST_PRIORITIES,
            help=_("Which of Celery's priorities runs first: 9 (RabbitMQ) or 0 (Redis)."),
        )

    def run(self, options: Options, out: Output) -> int:
        choices = Choices(
            renames=dict(options["rename"]),
            queues=dict(options["rename_queue"]),
            backend=_backend(options),
            is_off=options["off"],
            first_priority=options["first_priority"],
        )
        sources = chosen_sources(options["sources"])
        lines: dict[object, Line] = {}
        for source in sources:
            for number, found in enumerate(source.bring(choices, is_rehearsal=options["dry_run"]), start=1):
                line = lines.setdefault(_key(found), Line(found))
                line.take(found)
                out.progress(number)
        out.end()
        _tell(list(lines.values()), out, is_rehearsal=options["dry_run"])
        return UNDONE if any(line.found.verdict is Verdict.REFUSED for line in lines.values()) else OK


@dataclass
class Line:
    """One schedule, or all tasks to which the same happens."""

    found: Found
    count: int = 0
    ids: tuple[str, ...] = ()

    def take(self, found: Found) -> None:
        self.count += 1
        if found.kind == "task":
            self.ids = (*self.ids, found.name)[:_EXAMPLES]

    @property
    def name(self) -> str:
        if self.found.kind == "schedule":
            return self.found.name
        return ngettext("{number} task", "{number} tasks", self.count).format(number=self.count)


def pair(text: str) -> tuple[str, str]:
    """Read OLD=NEW."""
    old, sign, new = text.partition("=")
    if not (old and sign and new):
        raise argparse.ArgumentTypeError(_("must be OLD=NEW, not {text}").format(text=repr(text)))
    return old, new


def _backend(options: Options) -> str | None:
    """Return the alias that --backend names, if any."""
    if options["backend"] is None:
        return None
    stores = chosen_stores(options)
    if len(stores) != 1:
        raise OperationRefused(_("Everything goes to one backend: name one."))
    return stores[0].alias


def _key(found: Found) -> object:
    if found.kind == "schedule":
        return found
    return (found.source, found.task, found.verdict, found.words, found.reason)


def _tell(lines: list[Line], out: Output, *, is_rehearsal: bool) -> None:
    table = Table([_("from"), _("what"), _("task"), _("becomes"), _("details")])
    for line in lines:
        found = line.found
        details = "; ".join(filter(None, [found.words, found.reason, *found.notes]))
        table.add(found.source, line.name, found.task, _verdict(found.verdict), details)
    out.table(table, _("Nothing was found."))
    counts = {verdict: sum(line.count for line in lines if line.found.verdict is verdict) for verdict in Verdict}
    out.say(", ".join(f"{_verdict(verdict)}: {number}" for verdict, number in counts.items()))
    if is_rehearsal:
        out.say(_("Nothing was done."))
    out.data(
        {
            "dry_run": is_rehearsal,
            "counts": {verdict.value: number for verdict, number in counts.items()},
            "found": list(_facts(lines)),
        }
    )


def _verdict(verdict: Verdict) -> str:
    return {
        Verdict.IMPORTED: _("imported"),
        Verdict.PRESENT: _("here already"),
        Verdict.LEFT: _("not needed"),
        Verdict.REFUSED: _("refused"),
    }[verdict]


def _facts(lines: list[Line]) -> Iterator[dict[str, object]]:
    for line in lines:
        found = line.found
        yield {
            "source": found.source,
            "kind": found.kind,
            "name": found.name if found.kind == "schedule" else None,
            "count": line.count,
            "ids": list(line.ids),
            "task": found.task,
            "verdict": found.verdict.value,
            "words": found.words,
            "reason": found.reason or None,
            "notes": list(found.notes),
        }
