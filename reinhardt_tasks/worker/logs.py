"""How a worker's log lines look: for a person at a terminal, or one JSON object a line for a machine."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from ..logs import TaskFilter

_LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}
#: Django's task signals are logged under these; at verbosity 3 they are shown beside our own lines.
_DJANGO = ("django.tasks", "django_tasks")
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


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
        return json.dumps(facts, default=str)


def set_up_logging(style: str, verbosity: int) -> None:
    """Send this package's lines to stderr, unless the project's LOGGING has said where they go."""
    logger = logging.getLogger("reinhardt_tasks")
    if logger.handlers and style != "json":
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(TaskFilter())
    handler.setFormatter(
        JsonFormatter() if style == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    )
    logger.handlers = [handler]
    logger.setLevel(_LEVELS[verbosity])
    logger.propagate = False
    for name in _DJANGO:
        theirs = logging.getLogger(name)
        if verbosity >= 3:
            theirs.addHandler(handler)
            theirs.setLevel(logging.DEBUG)
        elif not theirs.hasHandlers():
            # Or Python's last resort would print each failure a second time, and not as JSON.
            theirs.addHandler(logging.NullHandler())
