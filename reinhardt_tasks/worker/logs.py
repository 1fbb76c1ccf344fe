"""How a worker's log lines look: for a person at a terminal, or one JSON object a line for a machine."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection
from datetime import UTC, datetime

from ..contexts import get_current_context
from ..exception_text import traceback_text
from ..logs import TaskFilter
from ..redaction import call_cleaner, cleaned_value, hides

_LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}
#: Django's task signals are logged under these; at verbosity 3 they are shown beside our own lines.
_DJANGO = ("django.tasks", "django_tasks")
_OURS, _TIME = "%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
#: What a record has that no task has given it.
_KNOWN = _STANDARD | {"task_id", "task_name", "task_attempt", "task_queue"}
_JSON = (str, int, float, dict, list, tuple)


class JsonFormatter(logging.Formatter):
    """One object a line: time (ISO 8601, UTC), level, logger, message, and whatever `extra` the line was given."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {key: value for key, value in vars(record).items() if key not in _STANDARD and value not in ("", 0)}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        elif record.exc_text:
            facts["traceback"] = record.exc_text
        return json.dumps(facts, default=str)


class TaskLines(logging.Formatter):
    """For a person: a line that a task has logged names it as our own lines do."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s", _TIME)

    def formatMessage(self, record: logging.LogRecord) -> str:
        facts = vars(record)
        task = f"Task id={facts['task_id']} path={facts['task_name']} " if facts["task_id"] else ""
        return f"{record.asctime} {record.levelname:<7} {task}{record.name}: {record.message}"


class OnlyUnheard(logging.Filter):
    """Lets pass what tasks log, and warnings from elsewhere, where no logger beneath the root has a handler for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING and not vars(record)["task_id"]:
            return False
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None and logger is not logging.root:
            if logger.name in _DJANGO or any(not isinstance(each, logging.NullHandler) for each in logger.handlers):
                return False
            logger = logger.parent
        return True


def set_up_logging(style: str, verbosity: int, hidden: Collection[str] = ()) -> None:
    """Send this package's lines to stderr, unless the project's LOGGING has said where they go; so too what tasks log.

    Messages in `hidden`, as they are logged, are left out: whoever reads stderr is told of these otherwise.
    """
    logger = logging.getLogger("reinhardt_tasks")
    if logger.handlers and style != "json":
        return
    handler = _handler(JsonFormatter() if style == "json" else logging.Formatter(_OURS, _TIME))
    if hidden:
        handler.addFilter(lambda record: record.msg not in hidden)
    logger.handlers = [handler]
    logger.setLevel(_LEVELS[verbosity])
    logger.propagate = False
    for name in _DJANGO:
        theirs = logging.getLogger(name)
        if verbosity >= 3:
            theirs.addHandler(handler)
            theirs.setLevel(logging.DEBUG)
            continue
        if not theirs.hasHandlers():
            # Or Python's last resort would print each failure a second time, and not as JSON.
            theirs.addHandler(logging.NullHandler())
        if theirs.level == logging.NOTSET and not _shows(theirs, logging.INFO):
            # Two lines for each task, made to be dropped by every handler, are a sixth of a busy worker's time.
            theirs.setLevel(logging.WARNING)
    if not logging.root.handlers:
        _let_tasks_speak(style, verbosity)


def _shows(logger: logging.Logger, level: int) -> bool:
    """Return whether some handler would write a line of this level: Django's own for the console has a filter for DEBUG."""
    line = logger.makeRecord(logger.name, level, __file__, 0, "", (), None)
    above: logging.Logger | None = logger
    while above is not None:
        for handler in above.handlers:
            if not isinstance(handler, logging.NullHandler) and handler.level <= level and handler.filter(line):
                return True
        above = above.parent if above.propagate else None
    return False


def _let_tasks_speak(style: str, verbosity: int) -> None:
    """Show what tasks log, from INFO on, in a project whose LOGGING says nothing of the root: Python's own level is WARNING."""
    handler = _handler(JsonFormatter() if style == "json" else TaskLines())
    handler.addFilter(OnlyUnheard())
    logging.root.addHandler(handler)
    if verbosity > 0 and logging.root.level == logging.WARNING:
        logging.root.setLevel(logging.INFO)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes what a task logs without the values of its redacted arguments."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(_cleaned(record))


def _cleaned(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record as people may see it: itself, unless a task that redacts runs here."""
    context = get_current_context()
    if context is None or not hides(context.task_result.task):
        return record
    result = context.task_result
    clean = call_cleaner(result.task, result.args, result.kwargs)
    facts = {
        # What is no JSON is written as text.
        key: cleaned_value(value if isinstance(value, _JSON) else str(value), clean)
        for key, value in vars(record).items()
        if key not in _KNOWN and value is not None
    }
    facts |= {"msg": clean(record.getMessage()), "args": None, "exc_info": None, "exc_text": None}
    if record.exc_info and record.exc_info[1] is not None:
        facts["exc_text"] = clean(traceback_text(record.exc_info[1])).rstrip()
    return logging.makeLogRecord(vars(record) | facts)


def _handler(formatter: logging.Formatter) -> logging.Handler:
    handler = _Handler(sys.stderr)
    handler.addFilter(TaskFilter())
    handler.setFormatter(formatter)
    return handler
