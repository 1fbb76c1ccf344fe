"""Steps in any order that has no cycle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ..exceptions import InvalidWorkflow
from ..suggestions import did_you_mean
from .flows import Flow
from .plans import Ground, Laid, Node, joined
from .sources import OfList, Source
from .steps import Part, as_part


class Workflow(Flow):
    """A graph of steps, groups, chains and other workflows. Its result is that of its last part, or the list of its last parts'."""

    def __init__(self, name: str, *, id: Any = None) -> None:
        super().__init__(name, id)
        self._parts: list[tuple[Part, tuple[Any, ...]]] = []

    def add(self, part: Any, *, after: Iterable[Any] | str = ()) -> Any:
        """Add a part, to begin when all those in `after` (names, or what `add` returned) have ended well; return the part."""
        made = as_part(part)
        waited = (after,) if isinstance(after, str) or hasattr(after, "lay") else tuple(after)
        self._parts.append((made, waited))
        return made

    def _lay(self, ground: Ground, before: Sequence[int], previous: Source) -> Laid:
        waits = self._waits()
        starts = sum(not waited for waited in waits.values())
        before = joined(ground, before, starts)
        laid: dict[int, Laid] = {}
        for index in self._ordered(waits):
            waited = waits[index]
            doors = [laid[each].door(ground) for each in waited] if waited else before
            source = previous if not waited else laid[waited[0]].source if len(waited) == 1 else None
            laid[index] = self._parts[index][0].lay(ground, doors, source)
        followed = {each for waited in waits.values() for each in waited}
        last = [laid[index] for index in range(len(self._parts)) if index not in followed]
        exits = [each.door(ground) for each in last] or [ground.add(Node(step=None, before=set(before)))]
        return Laid(exits, last[0].source if len(last) == 1 else OfList(tuple(each.source for each in last)))

    def _waits(self) -> dict[int, list[int]]:
        """Return which parts each part comes after."""
        named = {name: index for index, (part, _) in enumerate(self._parts) if (name := part.part_name) is not None}
        known = {id(part): index for index, (part, _) in enumerate(self._parts)}
        return {
            index: list(dict.fromkeys(self._index_of(each, part, named, known) for each in after))
            for index, (part, after) in enumerate(self._parts)
        }

    def _index_of(self, wanted: Any, part: Part, named: dict[str, int], known: dict[int, int]) -> int:
        index = named.get(wanted) if isinstance(wanted, str) else known.get(id(wanted))
        if index is None:
            label = getattr(part, "label", None) or part.part_name
            names = ", ".join(map(repr, list(named)[:20])) or "none"
            hint = did_you_mean(wanted, named) if isinstance(wanted, str) else ""
            raise InvalidWorkflow(
                f"{label!r} of workflow {self.name!r} comes after {wanted!r}, which is no part of that workflow{hint}. "
                f"Its names: {names}."
            )
        return index

    def _ordered(self, waits: dict[int, list[int]]) -> list[int]:
        try:
            return list(TopologicalSorter(waits).static_order())
        except CycleError as exc:
            labels = [self._label(index) for index in exc.args[1]]
            raise InvalidWorkflow(
                f"Workflow {self.name!r} has a cycle: {' → '.join(labels)}. No step of it could ever begin."
            ) from None

    def _label(self, index: int) -> str:
        part = self._parts[index][0]
        return getattr(part, "label", None) or part.part_name or type(part).__name__
