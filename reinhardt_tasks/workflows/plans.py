"""From what an author wrote to a flat graph: names resolved, cycles refused, many-to-many meetings led through gates.

A gate keeps the edges few (a group of 5,000 after a group of 5,000 needs 10,000 edges and not 25 millions), and its counter
apart from the rows of tasks. More than FAN_IN steps meet in two stages, so that those that end at one moment do not all
count down at one row.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidWorkflow
from ..suggestions import did_you_mean
from .placeholders import Path, Placeholder, ResultOf, failure, item, places_in, previous_result
from .positions import MOST_STEPS, ROOM, striped
from .sources import OfFailure, OfItem, Source, as_json

if TYPE_CHECKING:
    from .steps import Step


@dataclass(eq=False)
class Node:
    """A step, or without one a gate. `before` are the nodes that it waits for."""

    step: Step | None
    before: set[int]
    previous: Source = None
    guards: int | None = None
    places: list[tuple[Path, Source]] = field(default_factory=list)
    #: Where the items come from for each of which the step is run.
    over: Source = None


@dataclass(eq=False)
class Laid:
    """A part of the workflow as it lies on the ground: where it ends, and where its result comes from."""

    exits: list[int]
    source: Source
    _door: int | None = None

    def door(self, ground: Ground) -> int:
        """Return the one node after which all of the part has ended."""
        if self._door is None:
            self._door = self.exits[0] if len(self.exits) == 1 else ground.gate(self.exits)
        return self._door


@dataclass(frozen=True)
class PlannedStep:
    position: int
    step: Step | None
    needs: int
    followers: list[int]
    guards: int | None
    #: Path → source, as JSON knows them.
    places: list[tuple[list[int | str], Any]]
    #: Where its items come from, as JSON knows it; None for a step that is run once.
    over: Any = None


@dataclass(frozen=True)
class Plan:
    """A workflow ready to be stored: steps in topological order, the last of them the gate that ends it."""

    steps: list[PlannedStep]
    number: int
    output: Any
    names: dict[str, Any]
    #: Node on the ground → position.
    position_of: dict[int, int]


class Ground:
    """Where the parts of a workflow are laid out, each by its own `lay`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.nodes: list[Node] = []
        #: Name → the part that has it; None where several have.
        self.names: dict[str, Laid | None] = {}

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def gate(self, before: Iterable[int]) -> int:
        """Add a gate after these nodes; several, where they are many."""
        waited = list(dict.fromkeys(before))
        waited = [self.gate(stripe) for stripe in striped(waited)] or waited
        return self.add(Node(step=None, before=set(waited)))

    def call(self, name: str | None, laid: Laid) -> None:
        """Let a part be found by its name, as long as no other has it."""
        if name is not None:
            self.names[name] = None if name in self.names else laid

    def plan(self, root: Laid) -> Plan:
        """Return what was laid out as a plan. Raise InvalidWorkflow, saying what is wrong and where."""
        number = sum(node.step is not None for node in self.nodes)
        if number > MOST_STEPS:
            raise InvalidWorkflow(
                f"Workflow {self.title!r} has {number:,} steps; {MOST_STEPS:,} are the most. "
                "Let one step do the work of several, or let the last step start another workflow."
            )
        for node in list(self.nodes):
            self._resolve(node)
        self.gate([root.door(self)])
        self._drop_open_gates()
        position_of = self._positions()
        return Plan(
            steps=self._planned(position_of),
            number=number,
            output=as_json(root.source, position_of.__getitem__),
            names={name: as_json(laid.source, position_of.__getitem__) for name, laid in self.names.items() if laid},
            position_of=position_of,
        )

    def label(self, index: int) -> str:
        step = self.nodes[index].step
        return "a gate" if step is None else step.label

    def _resolve(self, node: Node) -> None:
        """Find what the placeholders of a step stand for; it waits for all of that."""
        if node.step is None:
            return
        for path, placeholder in places_in(node.step.args, node.step.kwargs):
            node.places.append((path, self._source(node, placeholder)))
        if node.step.over is not None:
            node.over = self._source(node, node.step.over)
            if not any(isinstance(source, OfItem) for _, source in node.places):
                raise InvalidWorkflow(
                    f"Step {node.step.label!r} of workflow {self.title!r} is run for each item of {node.step.over!r}, and none "
                    "of its arguments is `item`: write it where the item belongs."
                )

    def _source(self, node: Node, placeholder: Placeholder) -> Source:
        assert node.step is not None
        where = f"step {node.step.label!r} of workflow {self.title!r}"
        if isinstance(placeholder, ResultOf):
            if placeholder.name in self.names and self.names[placeholder.name] is None:
                raise InvalidWorkflow(
                    f"result_of({placeholder.name!r}) in {where}: several parts have that name. Give the one that is meant "
                    "a name of its own."
                )
            laid = self.names.get(placeholder.name)
            if laid is None:
                known = ", ".join(map(repr, list(self.names)[:20])) or "none"
                raise InvalidWorkflow(
                    f"result_of({placeholder.name!r}) in {where}: nothing there has that name"
                    f"{did_you_mean(placeholder.name, self.names)}. Names are given by .named(…); there are: {known}."
                )
            node.before.add(laid.door(self))
            return laid.source
        if placeholder is failure:
            if node.guards is None:
                raise InvalidWorkflow(f"`failure` in {where}: only a handler that .on_failure(…) names has one.")
            return OfFailure(node.guards)
        if placeholder is item:
            if node.step.over is None:
                raise InvalidWorkflow(f"`item` in {where}: only a step with .for_each(…) has items.")
            return OfItem()
        assert placeholder is previous_result
        if node.previous is None:
            raise InvalidWorkflow(
                f"`previous_result` in {where}: nothing, or more than one thing, comes before it. "
                "Name a step with .named(…) and write result_of(…)."
            )
        return node.previous

    def _drop_open_gates(self) -> None:
        """Take out the gates that nobody waits at (empty groups), but for the last, which ends the workflow."""
        last = len(self.nodes) - 1
        after = self._after()
        line = [index for index, node in enumerate(self.nodes) if node.step is None and not node.before]
        dropped: set[int] = set()
        while line:
            index = line.pop()
            if index == last:
                continue
            dropped.add(index)
            for follower in after[index]:
                node = self.nodes[follower]
                node.before.discard(index)
                if node.step is None and not node.before:
                    line.append(follower)
        self._dropped = dropped

    def _after(self) -> list[list[int]]:
        after: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for waited in node.before:
                after[waited].append(index)
        return after

    def _ordered(self) -> list[int]:
        """Return the nodes so that each comes after those that it waits for, else as they were written."""
        after = self._after()
        kept = [index for index in range(len(self.nodes)) if index not in self._dropped]
        waits = {index: len(self.nodes[index].before) for index in kept}
        ready = [index for index in kept if not waits[index]]
        heapq.heapify(ready)
        ordered = []
        while ready:
            index = heapq.heappop(ready)
            ordered.append(index)
            for follower in after[index]:
                waits[follower] -= 1
                if not waits[follower]:
                    heapq.heappush(ready, follower)
        if len(ordered) < len(kept):
            raise InvalidWorkflow(self._cycle(set(kept) - set(ordered)))
        return ordered

    def _positions(self) -> dict[int, int]:
        positions, position = {}, 0
        for index in self._ordered():
            positions[index] = position
            step = self.nodes[index].step
            position += 1 if step is None or step.over is None else 1 + ROOM
        return positions

    def _cycle(self, left: set[int]) -> str:
        sorter = TopologicalSorter({index: self.nodes[index].before & left for index in left})
        try:
            sorter.prepare()
        except CycleError as exc:
            # It tells the ring from each node to the one that waits for it.
            labels = [self.label(index) for index in exc.args[1] if self.nodes[index].step is not None]
            ring = labels if labels[0] == labels[-1] and len(labels) > 1 else [*labels, labels[0]]
            return f"Workflow {self.title!r} has a cycle: {' → '.join(ring)}. No step of it could ever begin."
        raise AssertionError("There is a cycle.")

    def _planned(self, position_of: dict[int, int]) -> list[PlannedStep]:
        after = self._after()
        planned = []
        for index, position in position_of.items():
            node = self.nodes[index]
            planned.append(
                PlannedStep(
                    position=position,
                    step=node.step,
                    needs=len(node.before),
                    followers=sorted(position_of[follower] for follower in after[index]),
                    guards=None if node.guards is None else position_of[node.guards],
                    places=[(list(path), as_json(source, position_of.__getitem__)) for path, source in node.places],
                    over=as_json(node.over, position_of.__getitem__),
                )
            )
        return planned


def joined(ground: Ground, before: Sequence[int], number: int) -> Sequence[int]:
    """Return after what each of `number` parts comes: `before` itself, or a gate behind it where both are many."""
    return [ground.gate(before)] if len(before) > 1 and number > 1 else before
