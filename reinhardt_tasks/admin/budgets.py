"""How much one request does of something long: up to a number of tasks and seconds, then it tells how to go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..operations.actions import Step

#: Tasks, and seconds, of one request.
MOST, SECONDS = 1000, 2.0


@dataclass(kw_only=True)
class Progress:
    """What one request came to."""

    took: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    #: Where the next request goes on; None: all is done.
    after: str | None = None


def within_budget(steps: Iterator[Step]) -> Progress:
    """Do steps until they end or the request's share is used up. A step is done whole."""
    progress = Progress()
    ends_at = time.monotonic() + SECONDS
    for step in steps:
        progress.took += step.done.took
        progress.left |= step.done.left
        progress.after = step.after
        if len(progress.took) + len(progress.left) >= MOST or time.monotonic() >= ends_at:
            break
    return progress
