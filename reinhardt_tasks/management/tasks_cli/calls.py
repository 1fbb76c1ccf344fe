"""The arguments of a task's call, as flags."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _


def add_call(parser: CommandParser) -> None:
    """Add `--args` and `--kwargs`; among the options they are `call_args`, a list, and `call_kwargs`, a dictionary."""
    # `args` is a word of Django's own among the options.
    parser.add_argument(
        "--args", dest="call_args", type=_a_list, metavar="JSON", help=_("All positional arguments, as a JSON list.")
    )
    parser.add_argument(
        "--kwargs",
        dest="call_kwargs",
        type=_an_object,
        metavar="JSON",
        help=_("All named arguments, as a JSON object."),
    )


def _a_list(text: str) -> list[Any]:
    value = _json(text)
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError(_("must be a JSON list, as in '[1, \"a\"]', not {text}").format(text=text))
    return value


def _an_object(text: str) -> dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(_("must be a JSON object, as in '{{\"a\": 1}}', not {text}").format(text=text))
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(_("is no JSON: {exc}").format(exc=exc)) from None
