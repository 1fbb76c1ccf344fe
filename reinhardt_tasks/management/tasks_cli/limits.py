"""`tasks limits`: what is held back by concurrency keys and rates, and why."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import operations
from ...operations import LineView
from ...operations.facts import moment_text
from .base import Options, Subcommand, chosen_stores
from .looking import told_of_away
from .output import Output
from .tables import Table
from .words import ago


class Limits(Subcommand):
    name = "limits"
    help = gettext_lazy("List the limits before which tasks wait, the longest line first.")

    def run(self, options: Options, out: Output) -> int:
        found = operations.held_back(of=chosen_stores(options))
        table = Table(
            [_("key"), _("backend"), _("allows"), _("past it"), _("waiting"), _("next start")], numbers=[3, 4]
        )
        for line in found.lines:
            table.add(line.key, line.backend, line.rule, line.held, line.waiting, next_start(line))
        nothing = _(
            "No limit holds back anything that a worker has looked at; what none has looked at yet is not in this."
        )
        # A store that is away may have lines that nobody sees.
        out.table(table, "" if found.away else nothing)
        out.data({"lines": [line_facts(line) for line in found.lines], "away": dict(found.away)})
        return told_of_away(out, dict(found.away))


def next_start(line: LineView) -> str:
    """Return when a rate lets the next one begin, in words; of concurrency, that another has to end."""
    return _("when one ends") if line.opens_at is None else ago(line.opens_at)


def line_facts(line: LineView) -> dict[str, Any]:
    """Return a line as JSON has it; the shape is documented, and only grows."""
    return {
        "backend": line.backend,
        "key": line.key,
        "size": line.size,
        "every": line.every,
        "held": line.held,
        "waiting": line.waiting,
        "opens_at": moment_text(line.opens_at),
    }
