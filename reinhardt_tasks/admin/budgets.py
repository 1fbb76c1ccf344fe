"""How much one request does of something long: up to a number of tasks and seconds, then it tells how to go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..operations.actions import Done, Step

#: Tasks, and seconds, of one request.
MOST, SECONDS = 1000, 2.0


@dataclass(kw_only=True)
class Progress:
    """What one request came to."""

    took: list[str] = field(default_factory=list)
    #: The names of these tasks, as far as they are known.
    names: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    #: Tasks of which only their number is told.
    number: int = 0
    #: Where the next request goes on; None: all is done, or it begins anew.
    after: str | None = None
    #: The share was used up: there may be more to do.
    is_cut: bool = False


def within_budget(steps: Iterator[Step] | Iterator[Done] | Iterator[int]) -> Progress:
    """Do steps until they end or the request's share is used up. A step is done whole."""
    progress = Progress()
    ends_at = time.monotonic() + SECONDS
    for step in steps:
        if isinstance(step, int):
            progress.number += step
        else:
            done = step.done if isinstance(step, Step) else step
            progress.took += done.took
            progress.names |= done.names
            progress.left |= done.left
            progress.after = step.after if isinstance(step, Step) else None
        is_much = len(progress.took) + len(progress.left) >= MOST
        if is_much or time.monotonic() >= ends_at:
            progress.is_cut = True
            break
    return progress
