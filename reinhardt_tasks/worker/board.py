"""Which tasks a process is running just now, in memory that its supervisor can read after the process has crashed.

What it only held, and had not begun, has nothing to do with the crash.
"""

from __future__ import annotations

import mmap
from collections import deque

#: Bytes of an id.
_WIDTH = 36


class Board:
    """`size` places for ids, shared with the processes that are forked after it was made."""

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size * _WIDTH)
        self._free = deque(range(size))
        self._places: dict[str, int] = {}

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
