"""What waits for a thread, or for its turn in the event loop."""

from __future__ import annotations

from collections import deque
from typing import TypeVar

T = TypeVar("T")


def emptied(line: deque[T]) -> list[T]:
    """Take out all that is left; others may take from the same line meanwhile."""
    back = []
    while True:
        try:
            back.append(line.popleft())
        except IndexError:
            return back
