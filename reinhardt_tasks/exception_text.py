"""Exceptions as text: the path of their class, and their traceback as it is stored."""

from __future__ import annotations

import traceback

from .cuts import both_ends
from .serialization import storable

#: Letters of a traceback that are kept: the first and the last of them, where it is longer.
TRACEBACK_LIMIT = 50_000


def class_path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(exc: BaseException) -> str:
    """Return an exception's traceback, its middle left out where it is very long. Never raises."""
    try:
        text = "".join(traceback.format_exception(exc))
    except BaseException as problem:
        text = f"{class_path(type(exc))} (its traceback could not be written: {class_path(type(problem))})\n"
    return storable(both_ends(text, TRACEBACK_LIMIT))
