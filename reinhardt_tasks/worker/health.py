"""A worker's health as others see it: a file whose age tells, and messages to systemd. Both come with progress only.

Progress is that the loop has turned since the last time, and that a heartbeat got through within the lease: a worker that
is stuck, or that its store no longer hears of, must not look alive because a thread of it still says so.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .sdnotify import Notifier

logger = logging.getLogger("reinhardt_tasks")

READY, QUIET, STOPPING, RELOADING = STATES = ("ready", "quiet", "stopping", "reloading")
#: Seconds between two writings of the file, and two messages about what runs. A loop that idles turns once a second: the
#: thread that looks a moment too early looks again a second later.
EVERY = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """What a worker, or a supervisor for its workers, says of itself at one moment."""

    state: str
    #: A number that grows with each turn of the loop.
    turns: int
    #: Tasks that run now.
    running: int
    #: When the last heartbeat got through, by the monotonic clock; None before the first.
    beat_at: float | None
    processes: int = 1


class Pace:
    """Says when something may be told again: its time has come, and the loop has turned since."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._at = float("-inf")
        self._turns = -1

    def has_come(self, turns: int, now: float) -> bool:
        if now - self._at < self._interval or turns == self._turns:
            return False
        self._at, self._turns = now, turns
        return True


class Health:
    """Tells of one worker or supervisor. `look()` is to be called about every `interval` seconds, or oftener."""

    def __init__(
        self,
        vitals: Callable[[], Vitals],
        lease: float,
        path: str | Path | None = None,
        notifier: Notifier | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vitals = vitals
        self._lease = lease
        self._path = None if path is None else Path(path)
        self._notifier = notifier or Notifier()
        self._now = now
        self._began_at = now()
        self._state = self._status = ""
        self._status_at = float("-inf")
        self._writing, self._pinging = Pace(EVERY), Pace((self._notifier.watchdog or 0.0) / 2)
        self._has_failed = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody wants to be told."""
        return self._path is not None or self._notifier.is_on

    @property
    def interval(self) -> float:
        """Seconds between two looks: a sign that is due at half of the watchdog's time is never late by more than a quarter."""
        return min(1.0, (self._notifier.watchdog or 4.0) / 4)

    def begin(self) -> None:
        """Tell that all is ready."""
        self._state = READY
        self._notifier.tell("READY=1")
        self.look()

    def look(self) -> None:
        """Tell what has changed, and that there is progress, where there is."""
        if not self.is_wanted:
            return
        now, vitals = self._now(), self._vitals()
        if vitals.state != self._state:
            self._change_to(vitals.state)
        if now - self._status_at >= EVERY:
            self._tell_status(vitals, now)
        if self._is_cut_off(vitals, now):
            return
        if self._notifier.watchdog is not None and self._pinging.has_come(vitals.turns, now):
            self._notifier.tell("WATCHDOG=1")
        if self._path is not None and self._writing.has_come(vitals.turns, now):
            self._write(self._path, vitals, now)

    def end(self) -> None:
        """Tell that it is over. The file goes: nothing that is old is to be found at the next start."""
        if self.is_wanted and self._state != STOPPING:
            self._change_to(STOPPING)
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _change_to(self, state: str) -> None:
        self._state = state
        self._status_at = float("-inf")
        match state:
            case "stopping":
                self._notifier.tell("STOPPING=1")
            case "reloading":
                # With the moment, as Type=notify-reload wants it. READY=1 comes from the program that takes our place.
                self._notifier.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def _tell_status(self, vitals: Vitals, now: float) -> None:
        self._status_at = now
        if self._is_cut_off(vitals, now):
            status = "Cut off: no heartbeat has got through for longer than the lease"
        else:
            where = f", {vitals.processes} processes" if vitals.processes != 1 else ""
            status = f"{vitals.state.capitalize()}: {vitals.running} running{where}"
        if status != self._status:
            self._status = status
            self._notifier.tell(f"STATUS={status}")

    def _is_cut_off(self, vitals: Vitals, now: float) -> bool:
        return now - (self._began_at if vitals.beat_at is None else vitals.beat_at) > self._lease

    def _write(self, path: Path, vitals: Vitals, now: float) -> None:
        moment = datetime.now(UTC)
        beat_at = None if vitals.beat_at is None else moment - timedelta(seconds=now - vitals.beat_at)
        facts: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "state": vitals.state,
            "turns": vitals.turns,
            "running": vitals.running,
            "heartbeat": beat_at and beat_at.isoformat(timespec="milliseconds"),
            "processes": vitals.processes,
        }
        # Beside it, since a rename is atomic within one file system only.
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(json.dumps(facts) + "\n")
            draft.replace(path)
            self._has_failed = False
        except OSError as exc:
            if not self._has_failed:
                logger.warning("The health file cannot be written: %s", exc)
            self._has_failed = True


@contextmanager
def watched(health: Health) -> Iterator[None]:
    """Tell of a worker while this lasts, from a thread: its loop may be stuck, and nobody is to hear that it is well."""
    if not health.is_wanted:
        yield
        return
    closing = threading.Event()

    def watch() -> None:
        while not closing.wait(health.interval):
            health.look()

    thread = threading.Thread(target=watch, name="reinhardt-health", daemon=True)
    health.begin()
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join(timeout=5)
        health.end()
