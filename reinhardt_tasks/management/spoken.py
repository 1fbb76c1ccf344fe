"""What commands have in common that speak the language which is activated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.functional import Promise

from .tasks_cli.tables import width

#: Places that a banner gives to names at least.
_PLACES = 11


class SpokenCommand(BaseCommand):
    """A command with its description in `about`: argparse takes Django's `help` apart, and cannot where that is lazy."""

    about: str | Promise

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = str(self.about)
        return parser


def banner_lines(facts: Iterable[tuple[str, object]]) -> list[str]:
    """Return names and values, one line each, as a process tells them at its start."""
    known = list(facts)
    places = max([_PLACES, *(width(name) for name, _value in known)])
    return [f"  {name}{' ' * (places - width(name))}  {value}" for name, value in known]
