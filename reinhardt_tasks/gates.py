"""Limits as the stores keep them: what a job must pass before a worker may take it, and the arithmetic of rates. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .texts import storable

#: Longer keys are replaced by a hash: they stand in an index.
LONGEST = 150
#: The most that a limit lets past at once, and the most microseconds between two starts (ten years): a column holds no more.
LARGEST = 2**31 - 1
SLOWEST = 3653 * 86_400 * 1_000_000


class Until(StrEnum):
    """When a job's `once_key` is free for the next job."""

    STARTED = "started"
    FINISHED = "finished"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One gate on a job's way to the workers. All jobs with the same `key` share it, on all machines.

    Without `every` it bounds concurrency: at most `size` jobs are past it, from the moment a worker may take them until
    they end. With `every`, microseconds, it bounds the rate: in the long run one start each `every`, and at most `size` at
    once after a pause.

    The rate is the generic cell rate algorithm in its virtual scheduling form (ITU-T I.371, ATM Forum TM 4.0). Its one
    number for each key, the theoretical arrival time, is called `reach` here: up to then all starts are spoken for.
    """

    key: str
    size: int = 1
    every: int = 0

    def opens_at(self, reach: int, ahead: int, now: int) -> int:
        """Return when one more may start, if `ahead` others have passed and have not started; fewer than `size`."""
        return max(now, reach + (ahead - self.size + 1) * self.every)

    def reach_after(self, reach: int, started_at: int) -> int:
        """Return the reach after one more start."""
        return max(reach, started_at) + self.every


def encode_limits(limits: Sequence[Limit]) -> str | None:
    """Return limits as the text that is stored with a job; None for none."""
    return json.dumps([[limit.key, limit.size, limit.every] for limit in limits]) if limits else None


def decode_limits(text: str | None) -> tuple[Limit, ...]:
    """Return what `encode_limits` stored; of a damaged text what can be read."""
    try:
        return tuple(_sound(*values) for values in json.loads(text)) if text else ()
    except (ValueError, TypeError, OverflowError, RecursionError):
        return ()


def short(key: str) -> str:
    """Return a key that fits into an index: itself, or its beginning and a hash."""
    return key if len(key) <= LONGEST else f"{key[:80]}#{hashlib.sha256(key.encode()).hexdigest()}"


def _sound(key: str, size: int, every: int) -> Limit:
    # Many jobs are let past their limits in one step: one whose limit no store could write down would stop them all.
    return Limit(
        key=short(storable(str(key))), size=min(max(int(size), 1), LARGEST), every=min(max(int(every), 0), SLOWEST)
    )
