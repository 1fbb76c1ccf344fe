"""Where a placeholder's value comes from: one step, a list of such, a step or the handler of its failure.

As JSON: 7 is the result of the step at position 7; {"list": […]} a list of sources; {"runs": [[first, number, stride], …]}
a list of steps, written shortly; {"either": [step, source]} the step's result, or the other where it failed;
{"failure": 7} how that step failed; {"each": 7} the list of the results of step 7, which was run for each item; "item" the
item itself, which has its place before its step is sent; null nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..workflow_states import StepStatus
from .positions import ROOM, members_at


@dataclass(frozen=True)
class OfStep:
    node: int


@dataclass(frozen=True)
class OfList:
    items: tuple[Source, ...]


@dataclass(frozen=True)
class OfEither:
    step: int
    handler: Source


@dataclass(frozen=True)
class OfFailure:
    node: int


@dataclass(frozen=True)
class OfEach:
    node: int


@dataclass(frozen=True)
class OfItem:
    pass


#: How the item is written as JSON.
ITEM = "item"

Source = OfStep | OfList | OfEither | OfFailure | OfEach | OfItem | None


def as_json(source: Source, position: Callable[[int], int]) -> Any:
    """Return a source as JSON knows it; `position` tells a node's."""
    match source:
        case OfStep(node):
            return position(node)
        case OfEither(step, handler):
            return {"either": [position(step), as_json(handler, position)]}
        case OfFailure(node):
            return {"failure": position(node)}
        case OfEach(node):
            return {"each": position(node)}
        case OfItem():
            return ITEM
        case OfList(items):
            values = [as_json(item, position) for item in items]
            if values and all(isinstance(value, int) for value in values):
                return {"runs": _runs(values)}
            return {"list": values}
        case _:
            return None


def positions_of(source: Any) -> Iterator[int]:
    """Yield the positions of all steps that a source needs."""
    match source:
        case int():
            yield source
        case {"either": [step, handler]}:
            yield step
            yield from positions_of(handler)
        case {"failure": step}:
            yield step
        case {"each": step}:
            # How many it has is on record with the step itself.
            yield from range(step, step + 1 + ROOM)
        case {"runs": runs}:
            yield from _unrolled(runs)
        case {"list": items}:
            for item in items:
                yield from positions_of(item)


@dataclass(frozen=True, slots=True)
class Found:
    """What is on record of a step."""

    label: str
    status: str
    result: str | None
    error: str | None
    instead: str


def value_of(source: Any, found: Mapping[int, Found]) -> Any:
    """Return the value of a source. Raise LookupError for a step that has none (yet)."""
    match source:
        case int():
            return _result(found[source])
        case {"either": [step, handler]}:
            return _result(found[step]) if found[step].status == StepStatus.SUCCESS else value_of(handler, found)
        case {"failure": step}:
            return {"step": found[step].label, **_error(found[step])}
        case {"each": step}:
            return [_result(found[position]) for position in members_at(step, _number(found[step]))]
        case {"runs": runs}:
            return [_result(found[position]) for position in _unrolled(runs)]
        case {"list": items}:
            return [value_of(item, found) for item in items]
        case _:
            return None


def _result(step: Found) -> Any:
    if step.status == StepStatus.SUCCESS:
        return json.loads(step.result or "null")
    if step.status in (StepStatus.FAILURE, StepStatus.CANCELLED):
        return json.loads(step.instead)
    raise LookupError(f"Step {step.label} has no result: it is {step.status}.")


def _number(step: Found) -> int:
    """Return how many members a step has; that is what stands in the place of its own result."""
    if step.status != StepStatus.SUCCESS:
        raise LookupError(f"Step {step.label} has no results: it is {step.status}.")
    return int(step.result or 0)


def _error(step: Found) -> dict[str, str]:
    error = json.loads(step.error or "{}")
    return {"exception": error.get("exception", ""), "message": error.get("message", "")}


def _runs(values: Iterable[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for value in values:
        if runs:
            first, number, stride = runs[-1]
            if number == 1 or value == first + number * stride:
                runs[-1] = [first, number + 1, value - first if number == 1 else stride]
                continue
        runs.append([value, 1, 1])
    return runs


def _unrolled(runs: Iterable[list[int]]) -> Iterator[int]:
    for first, number, stride in runs:
        for index in range(number):
            yield first + index * stride
