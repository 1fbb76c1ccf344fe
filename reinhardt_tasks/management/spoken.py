"""What commands have in common that speak the language which is activated."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter, SystemCheckError
from django.db import Error
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from .tasks_cli.tables import width

#: Places that a banner gives to names at least.
_PLACES = 11


class SpokenFormatter(DjangoHelpFormatter):
    """A help page whose headings are in the language that is activated. argparse asks the system's catalogues, which have none."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, _("usage: ") if prefix is None else prefix)

    def start_section(self, heading: str | None) -> None:
        titles = {"options": _("options"), "positional arguments": _("positional arguments")}
        super().start_section(titles.get(heading or "", heading))

    def add_argument(self, action: argparse.Action) -> None:
        if action.dest == "help" and action.nargs == 0:
            action.help = _("Show this help and exit.")
        super().add_argument(action)


class SpokenCommand(BaseCommand):
    """A command with its description in `about`: argparse takes Django's `help` apart, and cannot where that is lazy."""

    about: str | Promise

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Check as Django does. Settings that cannot be end each of our commands as a usage that cannot be does."""
        try:
            super().check(*args, **kwargs)
        except SystemCheckError as exc:
            exc.returncode = 2
            raise
        except Error as exc:
            # From Django 6.1 on its own checks of fields ask MariaDB and MySQL for their version.
            words = _("A database cannot be reached, which the system checks ask: {exc}")
            raise CommandError(words.format(exc=exc), returncode=3) from exc

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **{"formatter_class": SpokenFormatter, **kwargs})
        parser.description = str(self.about)
        return parser


def banner_lines(facts: Iterable[tuple[str, object]]) -> list[str]:
    """Return names and values, one line each, as a process tells them at its start."""
    known = list(facts)
    places = max([_PLACES, *(width(name) for name, _value in known)])
    return [f"  {name}{' ' * (places - width(name))}  {value}" for name, value in known]
