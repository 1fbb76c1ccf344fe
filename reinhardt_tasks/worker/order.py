"""In which order a worker asks its queues: all as one, one strictly before the other, or by weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..brokers.base import Queues


@dataclass
class QueueOrder:
    """What a claim asks for first, and what for the room that is left.

    Without weights and not `strict`, all queues are one: the most urgent job of any is first. `strict` serves a queue only
    while those before it are empty. With weights each queue comes first in its share of the claims, the most even way
    ("smooth weighted round-robin", as nginx has it), so that a light one is never starved.
    """

    queues: tuple[str, ...] | None = None
    strict: bool = False
    weights: dict[str, int] = field(default_factory=dict)
    _credit: dict[str, int] = field(default_factory=dict)

    def turns(self) -> list[Queues]:
        """Return the queues to ask, in this order, until there is no more room."""
        if self.queues is None or (not self.strict and not self.weights):
            return [self.queues]
        if self.strict:
            return [(queue,) for queue in self.queues]
        return [(queue,) for queue in self._by_weight()]

    def _by_weight(self) -> list[str]:
        for queue, weight in self.weights.items():
            self._credit[queue] = self._credit.get(queue, 0) + weight
        ordered = sorted(self.weights, key=lambda queue: -self._credit[queue])
        self._credit[ordered[0]] -= sum(self.weights.values())
        return ordered


def read_queues(given: Sequence[str]) -> QueueOrder:
    """Read what `--queue` was given: names, one a time; `a,b` in strict order; `a:6,b:1` by weight.

    Raise ValueError for what is none of these.
    """
    if len(given) != 1 or ("," not in given[0] and not _weight(given[0])):
        if any("," in text for text in given):
            raise ValueError(f"Give queues one by one, or all in one --queue: {' '.join(given)!r} mixes the two.")
        return QueueOrder(tuple(given) or None)
    parts = [part.strip() for part in given[0].split(",") if part.strip()]
    weighed = {name: int(weight) for part in parts if (weight := _weight(part)) and (name := part[: -len(weight) - 1])}
    if not weighed:
        return QueueOrder(tuple(parts), strict=True)
    if len(weighed) != len(parts) or min(weighed.values()) < 1:
        raise ValueError(f"Every queue needs a weight from 1 on, or none has one: {given[0]!r}.")
    return QueueOrder(tuple(weighed), weights=weighed)


def _weight(part: str) -> str:
    name, colon, weight = part.rpartition(":")
    return weight if colon and name and weight.isdigit() else ""
