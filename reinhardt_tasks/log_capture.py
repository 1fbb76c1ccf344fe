"""Keeping what a task logs: a worker listens to `logging`, and each task that runs keeps its own newest lines.

Listening is a wrapper around `Logger.callHandlers`, the one place that every record passes which a logger's level and filters
let through. A handler at the root would miss loggers with `propagate: False`, which most of Django's LOGGING have, would be taken
away by a later dictConfig, and would have Python believe that somebody prints: `logging.lastResort` and `basicConfig` do nothing
where the root has a handler.
"""

from __future__ import annotations

import itertools
import logging
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any

from .cuts import beginning, end
from .exception_text import class_path
from .exceptions import TaskCancelled, TaskTimeout
from .log_lines import ATTEMPT_LETTERS, AttemptLog, LogLine, encode_log
from .texts import storable

#: Letters that are kept of a message (its beginning), of a traceback beneath it (its end), and of a logger's name.
MESSAGE_LETTERS, TRACEBACK_LETTERS, NAME_LETTERS = 500, 1500, 100

#: What stops a task from outside, wherever in its thread that is.
_STOPS = (TaskTimeout, TaskCancelled, KeyboardInterrupt)


class KeptLines:
    """The newest lines of one attempt, kept while it is entered. Never raises, but for what is to stop the task."""

    __slots__ = ("_attempt", "_is_over", "_kept", "_level", "_most", "_token")

    def __init__(self, attempt: int, most: int, level: int) -> None:
        self._attempt = attempt
        self._level = level
        self._most = most
        # Most tasks log nothing: made for the first line.
        self._kept: _Newest | None = None
        self._is_over = False
        self._token: Token[KeptLines | None] | None = None

    def __enter__(self) -> None:
        self._token = _listener.set(self)

    def __exit__(self, *exc_info: object) -> None:
        # What it has left running in the background logs for nobody.
        self._is_over = True
        if self._token is not None:
            _listener.reset(self._token)

    def hear(self, record: logging.LogRecord) -> None:
        """Keep a record, if it is for us."""
        if self._is_over or record.levelno < self._level:
            return
        # What is logged while a message is put together is no line of the task's, and may never end.
        token = _listener.set(None)
        try:
            line = _line_of(record, self._attempt)
        except _STOPS:
            raise
        except BaseException as exc:
            line = _in_place_of(exc, self._attempt)
        finally:
            _listener.reset(token)
        if self._kept is None:
            with _making:
                if self._kept is None:
                    self._kept = _Newest(self._most)
        self._kept.add(line)

    def text(self) -> str | None:
        """Return what was kept as it is stored; None where nothing was."""
        # Whoever stops a task may do so between these two.
        if self._kept is None or not len(self._kept):
            return None
        lines, dropped = self._kept.lines()
        return encode_log(AttemptLog(self._attempt, lines, dropped), ATTEMPT_LETTERS)


class _Newest:
    """The newest of numbered lines. Threads may share it: what a task runs in other threads logs here too."""

    def __init__(self, most: int) -> None:
        self._numbers = itertools.count(1)
        self._lines: deque[tuple[int, LogLine]] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: LogLine) -> None:
        self._lines.append((next(self._numbers), line))

    def lines(self) -> tuple[tuple[LogLine, ...], int]:
        """Return them, oldest first, and how many there were before. There must be one."""
        found = sorted(self._lines)
        return tuple(line for _, line in found), found[-1][0] - len(found)


_making = threading.Lock()
_listener: ContextVar[KeptLines | None] = ContextVar("reinhardt_tasks_lines", default=None)


@contextmanager
def listening() -> Iterator[None]:
    """Let tasks hear what they log while this lasts; several may at once."""
    _ears.lend()
    try:
        yield
    finally:
        _ears.give_back()


class _Ears:
    """Puts a wrapper around `Logger.callHandlers` for the first that listens, and takes it away after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners = 0
        #: Our wrappers → what each is around. More than the one that hears where somebody else has wrapped an earlier one.
        self._wrapped: dict[Any, Any] = {}
        self._hearing: Any = None

    def lend(self) -> None:
        with self._lock:
            self._listeners += 1
            if self._listeners == 1:
                self._wrap()

    def give_back(self) -> None:
        with self._lock:
            self._listeners -= 1
            # Where somebody else has wrapped it since, ours stays beneath.
            if not self._listeners and logging.Logger.callHandlers in self._wrapped:
                logging.Logger.callHandlers = self._wrapped.pop(logging.Logger.callHandlers)  # type: ignore[method-assign]

    def _wrap(self) -> None:
        """Hear by the outermost. Beneath somebody else's may be one of ours, or none, if that was taken away."""
        if logging.Logger.callHandlers not in self._wrapped:
            wrapper = self._around(logging.Logger.callHandlers)
            self._wrapped[wrapper] = logging.Logger.callHandlers
            logging.Logger.callHandlers = wrapper  # type: ignore[method-assign]
        self._hearing = logging.Logger.callHandlers

    def _around(self, wrapped: Any) -> Any:
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            # Only one of ours hears, however many a record passes.
            if call_handlers is self._hearing and (lines := _listener.get()) is not None:
                lines.hear(record)
            wrapped(logger, record)

        return call_handlers


_ears = _Ears()


def _line_of(record: logging.LogRecord, attempt: int) -> LogLine:
    message = beginning(record.getMessage(), MESSAGE_LETTERS)
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        message += f"\n{end(''.join(traceback.format_exception(record.exc_info[1])).rstrip(), TRACEBACK_LETTERS)}"
    return LogLine(
        at=datetime.fromtimestamp(record.created, UTC),
        level=storable(beginning(record.levelname, NAME_LETTERS)),
        logger=storable(beginning(record.name, NAME_LETTERS)),
        message=storable(message),
        attempt=attempt,
    )


def _in_place_of(exc: BaseException, attempt: int) -> LogLine:
    """Return a line that says why there is no other."""
    words = f"(This line could not be kept: {class_path(type(exc))})"
    return LogLine(datetime.now(UTC), "WARNING", "reinhardt_tasks", words, attempt)
