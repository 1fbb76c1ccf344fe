"""A progress bar for a terminal; a few plain lines where the output is a file or a pipe."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from .runs import Progress

WIDTH = 32


class ProgressBar:
    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.is_terminal = self.stream.isatty()
        self._next_line_at = 0
        self._last = ""

    def show(self, progress: Progress) -> None:
        line = self._line(progress)
        if self.is_terminal:
            # A line that wraps could not be written over.
            self._write(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}")
        elif line != self._last and (progress.done >= self._next_line_at or progress.has_ended):
            self._write(f"{line}\n")
            self._next_line_at = progress.done + max(1, progress.total // 5)
        self._last = line

    def end(self) -> None:
        """Leave the bar's line, so that what is printed next has its own."""
        if self.is_terminal and self._last:
            self._write("\n")

    def _line(self, progress: Progress) -> str:
        full = WIDTH * progress.done // progress.total
        rest = ", ".join(f"{n} {state.lower()}" for state, n in sorted(progress.states.items()))
        return f"[{'#' * full}{'.' * (WIDTH - full)}] {progress.done}/{progress.total}  {rest}"

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
