"""Which tasks a process is running just now, in memory that its supervisor can read after the process has crashed.

What it only held, and had not begun, has nothing to do with the crash.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from tempfile import TemporaryFile

#: Bytes of an id.
_WIDTH = 36


class Board:
    """`size` places for ids, shared with the processes that are forked after it was made.

    Others share it by `number`, the descriptor of an open file that it lies in: see `in_a_file`.
    """

    def __init__(self, size: int, number: int = -1) -> None:
        self.number = number
        self._map = mmap.mmap(number, size * _WIDTH)
        self._free = deque(range(size))
        self._places: dict[str, int] = {}

    @classmethod
    def in_a_file(cls, size: int) -> Board:
        """Return a board in a file of no name, for processes that are not forked."""
        with TemporaryFile(prefix="reinhardt-board-") as file:
            file.truncate(size * _WIDTH)
            return cls(size, os.dup(file.fileno()))

    def put(self, job_id: str) -> None:
        if job_id in self._places:
            # Claimed again by this very process, whose first run of it goes on after its lease was lost.
            return
        place = self._free.popleft()
        self._places[job_id] = place
        self._map[place * _WIDTH : (place + 1) * _WIDTH] = job_id.encode().ljust(_WIDTH, b"\0")[:_WIDTH]

    def clear(self, job_id: str) -> None:
        place = self._places.pop(job_id, None)
        if place is not None:
            self._map[place * _WIDTH : (place + 1) * _WIDTH] = bytes(_WIDTH)
            self._free.append(place)

    def ids(self) -> set[str]:
        """Return the ids that stand here."""
        text = self._map[:]
        found = (text[at : at + _WIDTH].rstrip(b"\0") for at in range(0, len(text), _WIDTH))
        return {id_.decode(errors="replace") for id_ in found if id_}

    def close(self) -> None:
        self._map.close()
        if self.number >= 0:
            os.close(self.number)
