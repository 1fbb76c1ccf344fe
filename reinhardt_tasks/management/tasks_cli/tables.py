"""Rows and columns as aligned text; by `rich` where somebody looks at a terminal and it is installed."""

from __future__ import annotations

import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

#: What a terminal would obey, were it printed as it is. Tabs and ends of lines are dealt with by who prints.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_INDENT = "    "

#: States that are to catch the eye.
_STYLES = {"FAILURE": "red", "CANCELLED": "yellow", "RETRY": "yellow", "RUNNING": "cyan", "SUCCESS": "green"}


@dataclass
class Table:
    """Titles, and rows of text under them. Columns that `numbers` names stand to the right."""

    titles: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    numbers: Iterable[int] = ()
    #: Columns that stand under their row where a terminal is too narrow for the table: those of each line.
    under: Sequence[Sequence[int]] = ()

    def add(self, *cells: object) -> None:
        self.rows.append([one_line(str(cell)) for cell in cells])

    def text(self) -> str:
        """Return the table as lines of aligned text."""
        return "\n".join(self._lines(range(len(self.titles))))

    def folded(self, places: int) -> str:
        """Return the table for a terminal with so many places, with what is too long for its lines under them."""
        below = {column for columns in self.under for column in columns}
        beside = [column for column in range(len(self.titles)) if column not in below]
        title, *lines = self._lines(beside)
        found = [title]
        for line, row in zip(lines, self.rows, strict=True):
            found.append(line)
            for columns in self.under:
                found += _wrapped(" ".join(row[column] for column in columns if row[column]), places)
        return "\n".join(found)

    def _lines(self, columns: Sequence[int]) -> list[str]:
        lines = [list(self.titles), *self.rows]
        widths = {column: max(width(line[column]) for line in lines) for column in columns}
        right = set(self.numbers)
        return [
            "  ".join(_filled(line[column], widths[column], column in right) for column in columns).rstrip()
            for line in lines
        ]

    def write(self, stream: Any, *, no_color: bool) -> None:
        """Write the table to a stream, in the form that fits it."""
        text = self.text()
        places = shutil.get_terminal_size().columns if stream.isatty() else None
        is_folded = bool(self.under) and places is not None and max(map(width, text.splitlines())) > places
        if is_folded and places is not None:
            text = self.folded(places)
        if not is_rich(stream):
            stream.write(text + "\n")
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        console = Console(file=stream, no_color=no_color or None)
        if is_folded:
            shown = Text(text)
            for state, style in _STYLES.items():
                shown.highlight_words([state], style)
            console.print(shown, soft_wrap=True)
            return
        # As wide as the plain text is.
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for column, title in enumerate(self.titles):
            table.add_column(title, justify="right" if column in set(self.numbers) else "left", overflow="fold")
        for row in self.rows:
            # As text, since what is in brackets would be taken for colours.
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        console.print(table)


def is_rich(stream: Any) -> bool:
    """Return whether `rich` writes here."""
    return bool(stream.isatty()) and find_spec("rich") is not None


def one_line(text: str) -> str:
    """Return a text on one line, without what would move a terminal's cursor or colour the rest of it."""
    return harmless(text.replace("\n", " ").replace("\t", " "))


def harmless(text: str) -> str:
    """Return a text, its lines kept, in which what a terminal would obey is spelled out."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def width(text: str) -> int:
    """Return how many places of a terminal a text takes: Japanese letters take two."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _wrapped(text: str, places: int) -> list[str]:
    """Return a text as lines that stand to the right of those over them."""
    letters = places * len(text) // max(1, width(text))
    return textwrap.wrap(text, max(20, letters), initial_indent=_INDENT, subsequent_indent=_INDENT)


def _filled(text: str, places: int, is_right: bool) -> str:
    gap = " " * (places - width(text))
    return gap + text if is_right else text + gap
