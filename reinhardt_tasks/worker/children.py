"""A worker process as its supervisor knows it: what it was told, what it said, and what it holds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ..brokers.base import WorkerInfo
from .board import Board
from .link import Link


@dataclass(eq=False)
class Child:
    """A worker process as its supervisor knows it."""

    info: WorkerInfo
    link: Link
    board: Board
    pid: int = 0
    born_at: float = field(default_factory=time.monotonic)
    beat_at: float = 0.0
    turns: int = -1
    turned_at: float = field(default_factory=time.monotonic)
    held: dict[str, int] = field(default_factory=dict)
    #: Job id → (token, moment until which it may run), for tasks with a limit of time.
    timed: dict[str, tuple[int, float]] = field(default_factory=dict)
    #: Job id → moment at which we heard that it was cancelled.
    cancelled: dict[str, float] = field(default_factory=dict)
    kill_at: float | None = None
    bye: str | None = None
    is_busy: bool = False
    #: Its slots and what it holds, for metrics.
    load: dict[str, float] = field(default_factory=dict)
    #: When the store last said what it holds.
    pulsed_at: float = 0.0
    #: What it was told of: stops, whether to be quiet, requests for its stacks.
    stops: int = 0
    is_quiet: bool = False
    dumps: int = 0

    def hear(self, message: dict[str, Any]) -> None:
        """Take note of what it says over its link."""
        if "counted" in message:
            self.load = message["load"]
        match message:
            case {"began": job_id, "token": token, "deadline": deadline}:
                self.timed[job_id] = (token, deadline)
            case {"ended": job_id, "token": token}:
                if self.timed.get(job_id, (None, 0.0))[0] == token:
                    del self.timed[job_id]
            case {"turns": turns, "running": running}:
                self.is_busy = running > 0
                if turns != self.turns:
                    self.turns, self.turned_at = turns, time.monotonic()
            case {"bye": reason}:
                self.bye = reason

    def make_up_for(self, gap: float) -> None:
        """Give it the seconds during which its supervisor could not hear it."""
        self.turned_at += gap
        self.timed = {job_id: (token, deadline + gap) for job_id, (token, deadline) in self.timed.items()}
        self.cancelled = {job_id: since + gap for job_id, since in self.cancelled.items()}
        self.kill_at = None if self.kill_at is None else self.kill_at + gap
