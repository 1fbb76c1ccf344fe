"""Django's own flags, such as --settings and --traceback, behind a subcommand too: people write them there."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ..spoken import SpokenFormatter


class _Flags(BaseCommand):
    """A command with Django's flags alone. What is not said is left as the command before the subcommand has it."""

    requires_system_checks = []

    def add_base_argument(self, parser: CommandParser, *args: Any, **kwargs: Any) -> None:
        super().add_base_argument(parser, *args, **{**kwargs, "default": argparse.SUPPRESS})


def with_django_flags() -> dict[str, Any]:
    """Return the options for `add_parser()` of a subcommand that takes Django's flags, and shows them last."""
    return {
        "parents": [_Flags().create_parser("manage.py", "tasks", add_help=False)],
        "formatter_class": SpokenFormatter,
    }
