"""How steps are numbered, and how many may meet: what plans and what is laid out later agree on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

MOST_STEPS = 10_000
#: Steps that meet at one gate.
FAN_IN = 100
#: Positions that are kept free behind a step that is run for each item of a result: for its members, and their gates.
ROOM = MOST_STEPS + MOST_STEPS // FAN_IN


def members_at(position: int, number: int) -> range:
    """Return the positions of the members of the step at this position."""
    return range(position + 1, position + 1 + number)


def striped(those: Sequence[T]) -> list[Sequence[T]]:
    """Return in what parts those meet before they meet all: none where they are few.

    Neighbours end at about the same time: they go to different gates.
    """
    if len(those) <= FAN_IN:
        return []
    stripes = math.ceil(len(those) / FAN_IN)
    return [those[number::stripes] for number in range(stripes)]
