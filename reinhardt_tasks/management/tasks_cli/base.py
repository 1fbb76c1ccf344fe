"""What a subcommand is, and what all of them share: exit codes, flags, the stores that are meant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from django.core.management.base import CommandParser
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ... import operations
from ...operations import Store
from .output import Output

#: Done; something is not as it should be, or could not be done; a usage that cannot be; a store is away; Ctrl-C.
OK, UNDONE, USAGE, AWAY, INTERRUPTED = 0, 1, 2, 3, 130

Options = dict[str, Any]


class Subcommand(ABC):
    """One word after `manage.py tasks`."""

    name: str
    help: str | Promise
    backend_help: str | Promise = gettext_lazy("Alias in TASKS; may be repeated (default: all).")
    #: Whether it changes something: where nobody reads on what it says, a part of that is left undone.
    acts = False

    def add_arguments(self, parser: CommandParser) -> None:  # noqa: B027 - some have none
        """Add the flags of this subcommand alone."""

    def add_common_arguments(self, parser: CommandParser) -> None:
        """Add those that it shares with others."""
        parser.add_argument("--backend", action="append", metavar="ALIAS", help=str(self.backend_help))
        add_output_arguments(parser)

    def chosen(self, options: Options) -> Subcommand:
        """Return the one that is to run: itself, or one of its own."""
        return self

    @abstractmethod
    def run(self, options: Options, out: Output) -> int:
        """Do it, and return the exit code. May raise TaskError, of which the command makes a sentence and a code."""


def add_output_arguments(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help=_("Print JSON for programs."))


def chosen_stores(options: Options) -> list[Store]:
    """Return the stores that --backend names, or all. Raise OperationRefused for a name that is none, or where none is."""
    # Where there is none at all, each alias can say why.
    return operations.stores(options["backend"]) or operations.stores(operations.aliases())
