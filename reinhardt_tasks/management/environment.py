"""Flags whose defaults may come from the environment: REINHARDT_TASKS_CONCURRENCY for --concurrency."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

_ENVIRONMENT = "REINHARDT_TASKS_"
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class FlagsFromEnvironment:
    """Adds flags whose defaults may come from the environment."""

    def __init__(self, parser: CommandParser) -> None:
        self._parser = parser

    def __call__(self, flag: str, **kwargs: Any) -> None:
        given = from_environment(flag, None)
        # A flag that may be repeated would add to its default; what the environment says of it is read when it is used.
        if given is not None and kwargs.get("action") != "append":
            kwargs["default"] = self._read(flag, given, kwargs)
        self._parser.add_argument(flag, **kwargs)

    def _read(self, flag: str, given: str, kwargs: dict[str, Any]) -> Any:
        if kwargs.get("action") == "store_true":
            if given.lower() not in _TRUE + _FALSE:
                self._refuse(flag, given, _TRUE + _FALSE)
            return given.lower() in _TRUE
        if given not in kwargs.get("choices", [given]):
            self._refuse(flag, given, kwargs["choices"])
        # argparse reads a text default as it reads the flag.
        return given

    def _refuse(self, flag: str, given: str, known: Sequence[str]) -> None:
        # Not CommandError: at this moment nobody catches one.
        self._parser.error(
            _("{variable} is {given}; it may be {known}.").format(
                variable=_variable(flag), given=repr(given), known=", ".join(known)
            )
        )


def from_environment(flag: str, default: Any) -> Any:
    """Return what the environment says for a flag, as text."""
    return os.environ.get(_variable(flag), default)


def _variable(flag: str) -> str:
    return _ENVIRONMENT + flag.lstrip("-").replace("-", "_").upper()
