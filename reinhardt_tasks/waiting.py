"""Waiting for what others bring to an end: how long to sleep between two looks, and when to give up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import timedelta


def pauses(
    timeout: float | timedelta | None, first: float, longest: float, still: Callable[[], str]
) -> Iterator[float]:
    """Yield how many seconds to sleep after each look that was in vain, from `first` up to `longest`.

    Allows one look at least, and one when the time is up; then raises TimeoutError, which begins with what `still()` says.
    """
    allowed = timeout.total_seconds() if isinstance(timeout, timedelta) else math.inf if timeout is None else timeout
    deadline = time.monotonic() + allowed
    pause = first
    while (left := deadline - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(pause * 1.5, longest)
    yield 0.0
    raise TimeoutError(f"{still()} after {allowed:g} s.")
