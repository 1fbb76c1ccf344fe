"""The transaction that a caller is in, for backends that are part of none and wait for its commit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import connections


def open_database(is_open: Callable[[Any], object], named: str | None = None) -> str | None:
    """Return the database on whose connection a transaction is open: the named one, else 'default', else any."""
    for alias in (named,) if named else {"default": None, **connections.settings}:
        with suppress(Exception):
            if is_open(connections[alias]):
                return alias
    return None
