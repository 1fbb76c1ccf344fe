"""How much one request does of something long: up to a number of tasks and seconds. The page that it ends in goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.http import QueryDict

from ..operations import Count
from ..operations.actions import Done, Step
from ..operations.stores import STORE_ERRORS

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
    #: What the store said that went away half way.
    error: Exception | None = None

    def raise_error(self) -> None:
        """Raise what the store said that went away, if one did: once what was done before is kept in the history and told."""
        if self.error is not None:
            raise self.error


@dataclass(frozen=True, slots=True)
class Further:
    """Something long between two requests: how much is done, and of how much, where that is known."""

    done: int
    whole: int | None = None


def further(done: int, left: Count | None = None) -> Further:
    """Return what the page shows that goes on: so much is done in all, and so much is left."""
    is_known = left is not None and not left.is_at_least
    return Further(done, done + left.number if left is not None and is_known else None)


def done_before(posted: QueryDict) -> int:
    """Return how much the requests before this one have done."""
    text = posted.get("so_far", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def within_budget(steps: Iterator[Step] | Iterator[Done] | Iterator[int]) -> Progress:
    """Do steps until they end, the request's share is used up, or the store goes away. A step is done whole."""
    progress = Progress()
    ends_at = time.monotonic() + SECONDS
    try:
        for step in steps:
            _add(progress, step)
            is_much = len(progress.took) + len(progress.left) >= MOST
            if is_much or time.monotonic() >= ends_at:
                progress.is_cut = True
                break
    except STORE_ERRORS as exc:
        progress.error = exc
    return progress


def _add(progress: Progress, step: Step | Done | int) -> None:
    if isinstance(step, int):
        progress.number += step
        return
    done = step.done if isinstance(step, Step) else step
    progress.took += done.took
    progress.names |= done.names
    progress.left |= done.left
    progress.after = step.after if isinstance(step, Step) else None
