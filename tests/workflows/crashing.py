"""Processes that die by SIGKILL at a chosen place of a step's end. Only the tests' own app calls this."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

#: In the order in which a step's end passes them.
PLACES = ("unrecorded", "laid out", "unsent", "unsettled", "settled")


def die_at(place: str) -> None:
    """Let this process die when it comes to a place: "unsent:3" the third time."""
    name, _, times = place.partition(":")
    countdown = _Countdown(int(times or 1))
    from reinhardt_tasks.workflows import following, recording, sending

    match name:
        case "unrecorded":
            # The body has run, and nothing of it is on record.
            _wrap(following, "record", before=countdown)
        case "laid out":
            # Members are stored, and the transaction in which they are is not committed.
            _wrap(recording, "expand", after=countdown)
        case "unsent":
            # It is on record, and what follows is not on its way (unless it lies in the same database).
            _wrap(sending.Post, "leave", before=countdown)
        case "unsettled":
            _wrap(following, "record", after=countdown)
        case "settled":
            _wrap_broker(countdown)
        case _:
            raise ValueError(f"There is no place {name!r}; there are {', '.join(PLACES)}.")


class _Countdown:
    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> None:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _wrap(
    place: Any, name: str, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
) -> None:
    original = getattr(place, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before()
        answer = original(*args, **kwargs)
        after()
        return answer

    setattr(place, name, wrapped)


def _wrap_broker(countdown: _Countdown) -> None:
    from reinhardt_tasks.brokers.database import DatabaseBroker
    from reinhardt_tasks.brokers.redis import RedisBroker

    for kind in (DatabaseBroker, RedisBroker):
        original = kind.exchange

        def exchange(
            self: Any, outcomes: Any, *args: Any, original: Callable[..., Any] = original, **kwargs: Any
        ) -> Any:
            answer = original(self, outcomes, *args, **kwargs)
            if outcomes:
                countdown()
            return answer

        kind.exchange = exchange  # type: ignore[method-assign]
