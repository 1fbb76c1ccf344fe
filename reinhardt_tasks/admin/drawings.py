"""A workflow's steps as a drawing: layers from the left to the right, and lines to what follows. The template writes it as SVG."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from ..workflow_states import StepStatus
from ..workflows.places import database, steps_in
from ..workflows.runs import StepView, steps_of

#: Steps that are drawn at most, and steps beside each other: of more, the numbers are told.
MOST_STEPS, MOST_ABREAST = 200, 40
#: Names of steps that are told with their numbers.
MOST_NAMES = 200

#: A step's box, the room between two layers, and how far a box is from the one below it, in the drawing's units.
WIDTH, HEIGHT, GAP, DOWN, MARGIN, BAR = 168, 34, 40, 46, 8, 4
#: The width of a layer in which there are only points at which steps meet.
NARROW = 10
#: A drawing up to so wide is made as small as its place on a wide screen, where it is still readable; others are scrolled.
FITS = 1200


@dataclass(frozen=True, kw_only=True)
class Node:
    """A step's box, or, where `step` is None, the point at which many steps meet."""

    step: StepView | None
    x: int
    y: int
    width: int = WIDTH

    @property
    def filled(self) -> int:
        """The width of the bar that tells how many members of a step with `for_each` have ended."""
        done, total = (self.step.members if self.step is not None else None) or (0, 0)
        return WIDTH * done // total if total else 0

    @property
    def bottom(self) -> int:
        return self.y + HEIGHT - BAR

    @property
    def middle(self) -> int:
        return self.y + HEIGHT // 2

    @property
    def right(self) -> int:
        return self.x + (self.width if self.step is not None else self.width // 2)

    @property
    def left(self) -> int:
        return self.x if self.step is not None else self.x + self.width // 2

    @property
    def text_x(self) -> int:
        return self.x + 10

    @property
    def text_y(self) -> int:
        return self.y + 22


@dataclass(frozen=True, kw_only=True)
class Drawing:
    nodes: Sequence[Node]
    #: Each as the `d` of a path.
    lines: Sequence[str]
    width: int
    height: int
    box_width: int = WIDTH
    box_height: int = HEIGHT
    bar_height: int = BAR

    @property
    def fits(self) -> bool:
        return self.width <= FITS


@dataclass(frozen=True, kw_only=True)
class StepCounts:
    """How many steps of one name are in each state."""

    name: str
    counts: dict[StepStatus, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def by_state(self) -> list[int]:
        return [self.counts.get(status, 0) for status in StepStatus]


def drawing_of(workflow: str) -> Drawing | None:
    """Return the drawing of a workflow, in which a step with `for_each` is one; None where there is too much to see."""
    rows = steps_in(database(), workflow).filter(member_of=None).order_by("position")
    found = list(rows.values_list("position", "followers", "is_gate", "over")[: 2 * MOST_STEPS + 2])
    if sum(not is_gate or over is not None for _, _, is_gate, over in found) > MOST_STEPS:
        return None
    followers = {position: _positions(text) for position, text, _, _ in found}
    known = {step.position: step for step in steps_of(workflow, limit=MOST_STEPS, members=False)}
    # Points at which only ends meet are nothing to look at. Positions are in topological order.
    for position in sorted(followers, reverse=True):
        if position not in known and not any(follower in followers for follower in followers[position]):
            del followers[position]
    layers = _layers(followers)
    if max((len(layer) for layer in layers), default=0) > MOST_ABREAST:
        return None
    tallest = max((len(layer) for layer in layers), default=1)
    nodes: dict[int, Node] = {}
    x = MARGIN
    for layer in layers:
        width = WIDTH if any(position in known for position in layer) else NARROW
        # Each layer stands in the middle of the tallest.
        top = MARGIN + (tallest - len(layer)) * DOWN // 2
        for place, position in enumerate(layer):
            nodes[position] = Node(step=known.get(position), x=x, y=top + place * DOWN, width=width)
        x += width + GAP
    return Drawing(
        nodes=list(nodes.values()),
        lines=[_line(nodes[one], nodes[other]) for one in nodes for other in followers[one] if other in nodes],
        width=x - GAP + MARGIN,
        height=2 * MARGIN + (tallest - 1) * DOWN + HEIGHT,
    )


def counts_of(workflow: str) -> list[StepCounts]:
    """Return how many steps of each name are in each state, for the first MOST_NAMES names."""
    rows = steps_in(database(), workflow).filter(is_gate=False).values_list("task", "status")
    found: dict[str, dict[StepStatus, int]] = defaultdict(dict)
    for task, status, number in rows.annotate(number=Count("pk")).order_by("task")[: MOST_NAMES * len(StepStatus)]:
        found[task][StepStatus(status)] = number
    return [StepCounts(name=name, counts=counts) for name, counts in found.items()]


def _layers(followers: dict[int, list[int]]) -> list[list[int]]:
    """Return positions by how many steps are before them at least; those of a layer near to what they follow."""
    depth = dict.fromkeys(followers, 0)
    before: dict[int, list[int]] = defaultdict(list)
    # Positions are in topological order.
    for position in sorted(followers):
        for follower in followers[position]:
            if follower in depth:
                depth[follower] = max(depth[follower], depth[position] + 1)
                before[follower].append(position)
    layers: list[list[int]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    places: dict[int, float] = {}
    for position in sorted(followers, key=lambda each: (depth[each], each)):
        layers[depth[position]].append(position)
    for layer in layers:
        layer.sort(key=lambda each: (_mean([places[one] for one in before[each] if one in places]), each))
        places |= {position: place - len(layer) / 2 for place, position in enumerate(layer)}
    return layers


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _line(one: Node, other: Node) -> str:
    bend = (one.right + other.left) // 2
    return f"M{one.right} {one.middle}C{bend} {one.middle} {bend} {other.middle} {other.left} {other.middle}"


def _positions(text: str) -> list[int]:
    found: list[int] = json.loads(text)
    return found
