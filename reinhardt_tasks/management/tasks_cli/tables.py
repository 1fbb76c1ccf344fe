"""Rows and columns as aligned text; by `rich` where somebody looks at a terminal and it is installed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

#: What a terminal would obey, were it printed as it is. Tabs and ends of lines are dealt with by who prints.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

#: States that are to catch the eye.
_STYLES = {"FAILURE": "red", "CANCELLED": "yellow", "RETRY": "yellow", "RUNNING": "cyan", "SUCCESS": "green"}


@dataclass
class Table:
    """Titles, and rows of text under them. Columns that `numbers` names stand to the right."""

    titles: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    numbers: Iterable[int] = ()

    def add(self, *cells: object) -> None:
        self.rows.append([one_line(str(cell)) for cell in cells])

    def text(self) -> str:
        """Return the table as lines of aligned text."""
        lines = [list(self.titles), *self.rows]
        widths = [max(width(line[column]) for line in lines) for column in range(len(self.titles))]
        right = set(self.numbers)
        return "\n".join(
            "  ".join(_filled(cell, widths[column], column in right) for column, cell in enumerate(line)).rstrip()
            for line in lines
        )

    def write(self, stream: Any, *, no_color: bool) -> None:
        """Write the table to a stream, in the form that fits it."""
        if not is_rich(stream):
            stream.write(self.text() + "\n")
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for column, title in enumerate(self.titles):
            table.add_column(title, justify="right" if column in set(self.numbers) else "left", overflow="fold")
        for row in self.rows:
            # As text, since what is in brackets would be taken for colours.
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        Console(file=stream, no_color=no_color or None).print(table)


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


def _filled(text: str, places: int, is_right: bool) -> str:
    gap = " " * (places - width(text))
    return gap + text if is_right else text + gap
