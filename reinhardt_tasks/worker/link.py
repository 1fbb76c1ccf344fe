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
        self._unsent = b""

    @classmethod
    def pair(cls) -> tuple[Link, Link]:
        """Return both ends."""
        first_read, first_write = os.pipe()
        second_read, second_write = os.pipe()
        return cls(first_read, second_write), cls(second_read, first_write)

    def never_block(self) -> None:
        """Let neither `take` nor `tell` wait for the other end: it may be suspended, or leave its end to a child of its own."""
        os.set_blocking(self.read, False)
        os.set_blocking(self._write, False)

    @property
    def numbers(self) -> tuple[int, int]:
        """Its file descriptors, from which another process makes this end."""
        return self.read, self._write

    @property
    def is_clogged(self) -> bool:
        """Whether the other end does not read, and messages wait here."""
        return bool(self._unsent)

    def tell(self, **facts: Any) -> None:
        """Send a message. One to an end that is gone is lost, as everything else of it is."""
        line = json.dumps(facts, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self._unsent += line
            self._send()

    def flush(self) -> None:
        """Send what waits, as far as the other end reads."""
        with self._lock:
            self._send()

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._write, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""

    def take(self) -> list[dict[str, Any]] | None:
        """Return the messages that have come, after waiting for some; None when the other end is gone."""
        try:
            data = os.read(self.read, 65_536)
        except BlockingIOError:
            return []
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
