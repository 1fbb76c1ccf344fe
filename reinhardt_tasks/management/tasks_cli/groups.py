"""A subcommand that has subcommands of its own: `tasks schedules list`, `tasks workflows show`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from .base import Options, Subcommand, add_output_arguments
from .django_flags import with_django_flags
from .output import Output


class Group(Subcommand):
    """Hands on to the one that is named."""

    def __init__(self, members: Iterable[Subcommand]) -> None:
        self.members = {member.name: member for member in members}

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        flags = with_django_flags()
        for member in self.members.values():
            words = str(member.help)
            its = parsers.add_parser(member.name, help=words, description=words, **flags)
            member.add_arguments(its)
            add_output_arguments(its)

    def add_common_arguments(self, parser: CommandParser) -> None:
        """Each of its own subcommands has them."""

    def chosen(self, options: Options) -> Subcommand:
        return self.members[options["verb"]]

    def run(self, options: Options, out: Output) -> int:
        return self.chosen(options).run(options, out)


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help=_("Do not ask."))
