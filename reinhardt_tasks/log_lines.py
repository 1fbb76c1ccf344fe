"""What a task logged, as it is kept with the task: a text with a row of JSON for each attempt that logged something. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from .serialization import decode_or
from .timestamps import from_micros, to_micros

#: Letters of the text that is kept of a task before what its newest attempt adds. A row that is cut through is not read.
LOG_LETTERS = 100_000
#: Letters of the text that is kept of one attempt: its newest lines, one at least. Several attempts fit into a task's log.
ATTEMPT_LETTERS = 20_000
#: Letters of that which are left for what a row has besides its lines.
_FRAME_LETTERS = 50
_encoder = json.JSONEncoder(separators=(",", ":"))
#: Beyond it lie moments that Python cannot show, which only a hand can have written.
_LAST = to_micros(datetime(9000, 1, 1, tzinfo=UTC))


class LogLine(NamedTuple):
    """A line that a task logged. `attempt` is the number of the attempt, from 1; `at` is in UTC, by the worker's clock.

    `message` may have several lines: where an exception was logged, its traceback stands beneath. It is cut where it is long.
    """

    at: datetime
    level: str
    logger: str
    message: str
    attempt: int = 1


class AttemptLog(NamedTuple):
    """The newest lines of one attempt, oldest first, and how many older ones were dropped."""

    attempt: int
    lines: tuple[LogLine, ...]
    dropped: int = 0


def encode_log(log: AttemptLog, most: float = math.inf) -> str:
    """Return an attempt's lines as a text that other attempts' can be joined with.

    It has at most so many letters, without the oldest lines where they are too many; the newest one is always kept.
    """
    rows: list[str] = []
    left = most - _FRAME_LETTERS
    for line in reversed(log.lines):
        # Escaped, so that every database takes it, whatever its character set.
        row = _encoder.encode([to_micros(line.at), line.level, line.logger, line.message])
        left -= len(row) + 1
        if left < 0 and rows:
            break
        rows.append(row)
    dropped = log.dropped + len(log.lines) - len(rows)
    return f"[{log.attempt},{dropped},[{','.join(reversed(rows))}]]\n"


def joined_log(before: str | None, more: str | None) -> str | None:
    """Return the text of a task's log with what another attempt adds; stores that have a language do the same in it."""
    return before if more is None else (before or "")[-LOG_LETTERS:] + more


def decode_log(text: str | None) -> tuple[AttemptLog, ...]:
    """Return what the attempts of a task have logged; rows that are damaged are passed over."""
    found = []
    for row in text.split("\n") if text else ():
        match decode_or(row, list, []):
            case [int(attempt), int(dropped), list(lines)]:
                found.append(AttemptLog(attempt, tuple(_decoded(lines, attempt)), dropped))
    return tuple(found)


def _decoded(lines: list[Any], attempt: int) -> Iterable[LogLine]:
    for line in lines:
        match line:
            case [int(micros), str(level), str(logger), str(message)] if 0 <= micros < _LAST:
                yield LogLine(from_micros(micros), level, logger, message, attempt)
