"""Ordinary tasks have threads, coroutines an event loop: for which of them the store may have something, and who lies wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from ..brokers.base import BOTH, Broker, Changes, Kinds, Room
from ..jobs import Claim
from ..registry import registry

#: While one kind is there, claims ask for the other, which was not, after ASK_AGAIN seconds only: asking costs. Where no claim
#: has done so after PATIENCE seconds, since there is no room for the one, somebody listens for the other.
ASK_AGAIN, PATIENCE = 0.03, 0.06


class Hopes:
    """The kinds of which the store may have something, for all that is known here. For the others somebody has to listen."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kinds: set[bool] = set(BOTH)
        self._asked_at = dict.fromkeys(BOTH, now())

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def rise(self, kinds: Kinds = BOTH) -> None:
        """Take note that there may be something."""
        self._kinds |= set(kinds)

    def fit(self, room: Room) -> bool:
        """Return whether there may be something for which there is room."""
        return any(kind in self._kinds for kind in room.kinds)

    def worth_asking(self, room: Room) -> Room:
        """Return for how much of the `room` to ask; none where there is no hope for any of it."""
        if not self.fit(room):
            return room.only(())
        due = self._now() - ASK_AGAIN
        return room.only(tuple(kind for kind in BOTH if kind in self._kinds or self._asked_at[kind] <= due))

    def learn(self, room: Room, claims: Sequence[Claim]) -> None:
        """Take note of what a claim got. Less than was asked for: the store has no more."""
        is_full = len(claims) >= room.total
        for kind in room.kinds:
            self._asked_at[kind] = self._now()
            got = sum(claim.job.is_async is kind for claim in claims)
            if is_full or got >= room.for_kind(kind):
                self._kinds.add(kind)
            else:
                self._kinds.discard(kind)

    @property
    def lost(self) -> Kinds:
        """The kinds to listen for."""
        return tuple(kind for kind in BOTH if kind not in self._kinds)

    @property
    def listen_at(self) -> float | None:
        """When to listen for them; None where both may be there."""
        if not self.lost:
            return None
        return min(self._asked_at[kind] for kind in self.lost) + (PATIENCE if self._kinds else 0)


def kind_of(claim: Claim) -> bool:
    """Return whether a claim is a coroutine's by now, whatever it was when it was enqueued."""
    job = claim.job
    return registry.is_async(job.name) if registry.has(job.name) else job.is_async


def misfits(claims: Sequence[Claim], room: Room) -> list[Claim]:
    """Return the claims that are of another kind by now than they lie under, and for which there is no room here."""
    left = {kind: room.for_kind(kind) - _number(claims, kind) for kind in BOTH}
    found = []
    for claim in claims:
        kind = kind_of(claim)
        if kind is claim.job.is_async:
            continue
        left[kind] -= 1
        if left[kind] < 0:
            found.append(claim)
    return found


def _number(claims: Sequence[Claim], kind: bool) -> int:
    return sum(claim.job.is_async is kind and kind_of(claim) is kind for claim in claims)


def put_right(broker: Broker, claims: Collection[Claim]) -> None:
    """Let jobs that were given back lie where they are found by whoever has room for them."""
    for kind in BOTH:
        ids = [claim.job.id for claim in claims if kind_of(claim) is kind]
        if ids:
            broker.change(ids, Changes(is_async=kind))
