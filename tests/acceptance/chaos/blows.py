"""What is done to workers and to the store, by chance: which blow, at which share of the work, to whom and for how long."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

#: Blows to workers.
KILL, KILL_CHILD, KILL_SUPERVISOR = "kill", "kill a child", "kill a supervisor"
FREEZE, FREEZE_SUPERVISOR, TERMINATE = "freeze", "freeze a supervisor", "terminate"
#: Blows to the store, or to the way there.
KILL_STORE, STOP_STORE, FREEZE_STORE, LOCK_STORE = (
    "kill the store",
    "stop the store",
    "freeze the store",
    "lock the store",
)
CUT, LOSE = "cut all connections", "lose an answer"

TO_WORKERS = (KILL, KILL_CHILD, KILL_SUPERVISOR, FREEZE, FREEZE_SUPERVISOR, TERMINATE)


@dataclass(frozen=True, kw_only=True)
class Blow:
    """Dealt when a share of the tasks has begun. `choice`, from 0 to 1, says to whom; what lasts does so for `seconds`."""

    at: float
    kind: str
    choice: float
    seconds: float


def plan_blows(rng: random.Random, count: int, to_store: Sequence[str], lease: float) -> list[Blow]:
    """Return `count` blows: half of them to workers, half to the store, each kind before any comes again."""
    kinds = [
        each
        for pair in zip(_in_turn(rng, TO_WORKERS, count), _in_turn(rng, to_store, count), strict=True)
        for each in pair
    ]
    moments = sorted(rng.uniform(0.05, 0.95) for _ in range(count))
    return [
        Blow(at=at, kind=kind, choice=rng.random(), seconds=_seconds(rng, kind, lease))
        for at, kind in zip(moments, kinds, strict=False)
    ]


def _in_turn(rng: random.Random, kinds: Sequence[str], count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += rng.sample(kinds, len(kinds))
    return found[:count]


def _seconds(rng: random.Random, kind: str, lease: float) -> float:
    match kind:
        case "freeze" | "freeze a supervisor":
            # What is frozen is taken for dead.
            return round(lease * rng.uniform(1.2, 1.8), 2)
        case "freeze the store" | "lock the store":
            # Shorter than the lease, or longer: then nobody's lease could be kept.
            return round(lease * rng.uniform(0.3, 1.3), 2)
        case _:
            return round(rng.uniform(0.1, 1.0), 2)


def summary(blows: Sequence[Blow]) -> str:
    kinds = Counter(blow.kind for blow in blows)
    return f"{len(blows)} blows: " + ", ".join(f"{number} × {kind}" for kind, number in kinds.most_common())
