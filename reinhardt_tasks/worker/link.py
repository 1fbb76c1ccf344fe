"""The pipe between a supervisor and one worker process: one JSON object a line, in both directions."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


class Link:
    """One end. `read` and `write` are file descriptors of pipes."""

    def __init__(self, read: int, write: int) -> None:
        self.read = read
        self._write = write
        self._lock = threading.Lock()
        self._rest = b""

    @classmethod
    def pair(cls) -> tuple[Link, Link]:
        """Return both ends."""
        first_read, first_write = os.pipe()
        second_read, second_write = os.pipe()
        return cls(first_read, second_write), cls(second_read, first_write)

    def tell(self, **facts: Any) -> None:
        """Send a message. One to an end that is gone is lost, as everything else of it is."""
        line = json.dumps(facts, separators=(",", ":")).encode() + b"\n"
        with self._lock, suppress(BrokenPipeError, OSError):
            while line:
                line = line[os.write(self._write, line) :]

    def take(self) -> list[dict[str, Any]] | None:
        """Return the messages that have come, after waiting for some; None when the other end is gone."""
        try:
            data = os.read(self.read, 65_536)
        except OSError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield messages until the other end is gone."""
        while (some := self.take()) is not None:
            yield from some

    def close(self) -> None:
        for number in (self.read, self._write):
            with suppress(OSError):
                os.close(number)
