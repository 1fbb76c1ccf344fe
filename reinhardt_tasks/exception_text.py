"""Exceptions as text: the path of their class, their traceback as it is stored, and a log that odd ones do no harm to.

Where a task redacts, people and receivers of signals get to see a cleaned one.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

from .cuts import both_ends
from .texts import storable

logger = logging.getLogger("reinhardt_tasks")

#: Letters of a traceback that are kept: the first and the last of them, where it is longer.
TRACEBACK_LIMIT = 50_000
#: Takes the values of redacted arguments out of a text.
Clean = Callable[[str], str]


class Redacted(Exception):
    """Stands in the place of an exception of a task that redacts. Its message is that one's traceback, cleaned."""


def class_path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(exc: BaseException) -> str:
    """Return an exception's traceback, its middle left out where it is very long. Never raises."""
    try:
        return storable(both_ends("".join(traceback.format_exception(exc)), TRACEBACK_LIMIT))
    except BaseException as problem:
        return f"{class_path(type(exc))} (its traceback could not be written: {class_path(type(problem))})\n"


def log_exception(words: str, *values: object, cleaner: Callable[[], Clean | None] | None = None) -> None:
    """Log the exception that is being handled, with what it was raised from: cleaned, or as it is where nothing cleans it.

    Never raises, as some exceptions and some handlers do when one is logged, or `cleaner()` where there is no memory.
    """
    exc = sys.exception()
    with suppress(BaseException):
        clean = None if cleaner is None else cleaner()
        if clean is None or exc is None:
            logger.exception(words, *values)
        else:
            logger.error(f"{words}\n%s", *values, clean(traceback_text(exc)).rstrip())


def with_raised_hidden(cleaner: Callable[[], Clean | None], call: Callable[[], object]) -> None:
    """Call something that may log what is being handled; where `cleaner()` gives one, it finds a Redacted in its place."""
    exc = sys.exception()
    clean = None if exc is None else cleaner()
    if clean is None or exc is None:
        call()
        return
    try:
        raise Redacted(clean(traceback_text(exc)))
    except Redacted as hidden:
        # Or it would be printed, and what it holds be seen, as what this one was raised from.
        hidden.__context__ = None
        call()
