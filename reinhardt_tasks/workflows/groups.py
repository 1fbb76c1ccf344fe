"""Steps side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .chains import TaskChain
from .flows import Flow
from .plans import Ground, Laid, Node, joined
from .sources import OfList, Source
from .steps import Part, as_part, checked_name


class Group(Flow):
    """Parts that run in parallel. Its result is the list of theirs, in the order in which they were written."""

    def __init__(self, parts: Iterable[Any], name: str | None = None) -> None:
        super().__init__("group" if name is None else name)
        self._name = None if name is None else checked_name(name)
        self.parts: tuple[Part, ...] = tuple(as_part(part) for part in parts)

    @property
    def part_name(self) -> str | None:
        return self._name

    def then(self, callback: Any, /, *args: Any, **kwargs: Any) -> TaskChain:
        """Return the chain of this group and what follows when all of it has ended: there `previous_result` is the list."""
        return TaskChain(self.name, [self, as_part(callback, *args, **kwargs)])

    def _lay(self, ground: Ground, before: Sequence[int], previous: Source) -> Laid:
        before = joined(ground, before, len(self.parts))
        laid = [part.lay(ground, before, previous) for part in self.parts]
        exits = [each.door(ground) for each in laid] or [ground.add(Node(step=None, before=set(before)))]
        return Laid(exits, OfList(tuple(each.source for each in laid)))


def group(*parts: Any, name: str | None = None) -> Group:
    """Return steps (or chains, groups, workflows) to be run side by side; one iterable of them will do too."""
    if len(parts) == 1 and not hasattr(parts[0], "lay") and isinstance(parts[0], Iterable):
        parts = tuple(parts[0])
    return Group(parts, name)
