"""Unions: each of their types is told from the others by the kind of JSON value that it is written as, or it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .converters import BOOLEAN, LIST, NULL, NUMBER, OBJECT, TEXT, Converter, Refused


@dataclass(frozen=True)
class Member:
    """One type of a union; without a converter it is plain JSON, of these kinds."""

    name: str
    kinds: frozenset[str]
    converter: Converter | None


class UnionConverter(Converter):
    """One of several types, None among them or not."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self.kinds = frozenset[str]().union(*(member.kinds for member in members))
        self.asks_database = any(m.converter is not None and m.converter.asks_database for m in members)

    def accepts(self, value: Any) -> bool:
        return any(m.converter is not None and m.converter.accepts(value) for m in self._members) or (
            kind_of(value) in self.kinds
        )

    def store(self, value: Any, path: str) -> Any:
        for member in self._members:
            if member.converter is not None and member.converter.accepts(value):
                if rivals := self._rivals(member):
                    raise Refused(
                        path,
                        f"is of the type {member.name}, which JSON does not tell from {' or '.join(rivals)}: the annotation "
                        f"{self} is ambiguous. Annotate one type.",
                    )
                return member.converter.store(value, path)
        sole = [member.converter for member in self._members if NULL not in member.kinds]
        if len(sole) == 1 and sole[0] is not None and value is not None:
            # Its own words tell best what is wrong.
            return sole[0].store(value, path)
        kind = kind_of(value)
        reader = self._reader(kind)
        if reader is not None and reader.is_written(value):
            return value
        if reader is not None or kind is not None and kind not in self.kinds:
            raise self.refused(value, path)
        return value

    def restore(self, value: Any) -> Any:
        reader = self._reader(kind_of(value))
        return value if reader is None else reader.restore(value)

    def _rivals(self, member: Member) -> list[str]:
        return [other.name for other in self._members if other is not member and other.kinds & member.kinds]

    def _reader(self, kind: str | None) -> Converter | None:
        """Return what reads this kind of JSON value: None where it is plain, or where two might."""
        found = [member for member in self._members if kind in member.kinds]
        return found[0].converter if len(found) == 1 else None

    def __str__(self) -> str:
        return " | ".join(member.name for member in self._members)


def kind_of(value: Any) -> str | None:
    """Return the kind of JSON value that this is, or None for what JSON does not have."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int() | float():
            return NUMBER
        case str():
            return TEXT
        case list() | tuple():
            return LIST
        case dict():
            return OBJECT
        case _:
            return None
