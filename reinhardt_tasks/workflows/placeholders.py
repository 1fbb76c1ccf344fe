"""Marks in a step's arguments, where a result of another step is put when the step runs: there, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Where a placeholder stands: 0 and an index, or 1 and a keyword, then the way through lists and dictionaries.
Path = tuple[int | str, ...]


class Placeholder:
    """What stands for a value that is not there yet."""


class _PreviousResult(Placeholder):
    """The result of what comes before in a chain, or of the one thing that a step of a workflow comes `after`."""

    def __repr__(self) -> str:
        return "<the previous result>"


class _Failure(Placeholder):
    """In a handler of failures: a dictionary with "step", "exception" (its path) and "message"."""

    def __repr__(self) -> str:
        return "<the failure>"


class _Item(Placeholder):
    """In a step with `for_each(…)`: the item that this member of it is run for."""

    def __repr__(self) -> str:
        return "<the item>"


@dataclass(frozen=True)
class ResultOf(Placeholder):
    """The result of a named step, or the list of results of a named group."""

    name: str

    def __repr__(self) -> str:
        return f"<the result of {self.name!r}>"


previous_result = _PreviousResult()
failure = _Failure()
item = _Item()


def result_of(name: str) -> ResultOf:
    """Return the mark for the result of the step, group or chain that has this name. The step then waits for it."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"result_of() takes the name of a step, not {name!r}.")
    return ResultOf(name)


def places_in(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[Path, Placeholder]]:
    """Return where placeholders stand in a call."""
    return [*_places(args, (0,)), *_places(kwargs, (1,))]


def without_placeholders(value: Any) -> Any:
    """Return a copy of a call's part in which each placeholder is a text that says what it stands for, for people to read."""
    if isinstance(value, Placeholder):
        return repr(value)
    if isinstance(value, dict):
        return {key: without_placeholders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_placeholders(item) for item in value]
    return value


def put(call: list[Any], path: Sequence[int | str], value: Any) -> None:
    """Put a value in its place in `[args, kwargs]`."""
    *way, last = path
    place: Any = call
    for key in way:
        place = place[key]
    place[last] = value


def _places(value: Any, path: Path) -> Iterator[tuple[Path, Placeholder]]:
    if isinstance(value, Placeholder):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _places(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _places(item, (*path, index))
