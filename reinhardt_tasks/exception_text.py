"""Exceptions as text: the path of their class, their traceback as it is stored, and a log that odd ones do no harm to."""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress

from .cuts import both_ends
from .texts import storable

logger = logging.getLogger("reinhardt_tasks")

#: Letters of a traceback that are kept: the first and the last of them, where it is longer.
TRACEBACK_LIMIT = 50_000


def class_path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(exc: BaseException) -> str:
    """Return an exception's traceback, its middle left out where it is very long. Never raises."""
    try:
        return storable(both_ends("".join(traceback.format_exception(exc)), TRACEBACK_LIMIT))
    except BaseException as problem:
        return f"{class_path(type(exc))} (its traceback could not be written: {class_path(type(problem))})\n"


def log_exception(words: str, *values: object) -> None:
    """Log the exception that is being handled. Never raises, as some exceptions and some handlers do when one is logged."""
    with suppress(BaseException):
        logger.exception(words, *values)
