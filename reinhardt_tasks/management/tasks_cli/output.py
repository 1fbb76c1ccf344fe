"""How a subcommand speaks: tables and sentences for people, JSON for programs, progress on stderr, questions."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...exceptions import OperationRefused
from ...serialization import shown_json
from .tables import Table, harmless, width

#: Seconds between two words about progress where nobody watches.
_WORD_EVERY = 5.0
#: Places of a bar.
_BAR = 30


class Output:
    """Where a subcommand writes. With `as_json` only `data` reaches stdout."""

    def __init__(self, stdout: Any, stderr: Any, *, as_json: bool = False, no_color: bool = False) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.as_json = as_json
        self.no_color = no_color
        self._told_at = time.monotonic()
        self._is_line_open = False

    def say(self, text: str = "") -> None:
        """Tell people something."""
        if not self.as_json:
            self._stdout.write(harmless(text) + "\n")

    def table(self, table: Table, nothing: str = "") -> None:
        """Show people a table, or the sentence `nothing` where it has no rows."""
        if self.as_json:
            return
        if table.rows:
            table.write(self._stdout, no_color=self.no_color)
        elif nothing:
            self.say(nothing)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Tell people names and values, one below the other; what is None is left out."""
        places = max(map(width, facts), default=0)
        for name, value in facts.items():
            if value is not None:
                self.say(f"{name}{' ' * (places - width(name))}  {value}")

    def data(self, value: Any, *, is_line: bool = False) -> None:
        """Give programs one JSON value."""
        if self.as_json:
            self._stdout.write(shown_json(value, indent=None if is_line else 2) + "\n")
            self._stdout.flush()

    def warn(self, text: str) -> None:
        """Tell people on stderr, also where programs read stdout."""
        self._end_line()
        self._stderr.write(harmless(text) + "\n")

    def clear_screen(self) -> None:
        """Begin at the top again, where somebody watches."""
        if self.is_watched:
            self._stdout.write("\x1b[H\x1b[2J")

    @property
    def is_watched(self) -> bool:
        return bool(self._stdout.isatty()) and not self.as_json

    def flush(self) -> None:
        self._stdout.flush()

    @property
    def shows_progress(self) -> bool:
        """Whether somebody watches it."""
        return bool(self._stderr.isatty())

    def progress(self, number: int, total: int | None = None) -> None:
        """Tell how far something long has come: on one line where somebody watches, every few seconds elsewhere."""
        words = _bar(number, total) if total else _so_far(number)
        if self.shows_progress:
            self._stderr.write(f"\r{words}\x1b[K")
            self._stderr.flush()
            self._is_line_open = True
        elif time.monotonic() - self._told_at > _WORD_EVERY:
            self._told_at = time.monotonic()
            self._stderr.write(f"{words}\n")

    def confirm(self, question: str, *, is_agreed: bool) -> bool:
        """Ask, unless it is agreed. Raise OperationRefused where there is nobody to ask."""
        if is_agreed:
            return True
        if not sys.stdin.isatty():
            raise OperationRefused(_("{question} Nobody is here to be asked: add --yes.").format(question=question))
        self._stderr.write(f"{harmless(question)} [y/N] ")
        self._stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def end(self) -> None:
        self._end_line()

    def _end_line(self) -> None:
        if self._is_line_open:
            self._stderr.write("\n")
            self._is_line_open = False


def _so_far(number: int) -> str:
    return ngettext("{number} task so far", "{number} tasks so far", number).format(number=f"{number:,}")


def _bar(number: int, total: int) -> str:
    # What was counted may have become less or more since.
    full = min(_BAR, _BAR * number // total)
    words = ngettext("{number} of {total} task", "{number} of {total} tasks", total)
    return f"[{'#' * full}{'-' * (_BAR - full)}] {words.format(number=f'{number:,}', total=f'{total:,}')}"
