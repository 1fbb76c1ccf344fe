"""What holds other values: tuples, sets, lists, dictionaries; each with the converters of what is inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .converters import LIST, OBJECT, TEXT, Converter, Refused


class Items(Converter):
    """A list, set, frozenset or tuple of any length, whose items have one converter, or none."""

    kinds = frozenset({LIST})

    def __init__(self, cls: type, item: Converter | None, name: str | None = None) -> None:
        self._cls = cls
        self._item = item
        self._name = name or cls.__name__
        self.asks_database = item is not None and item.asks_database

    def accepts(self, value: Any) -> bool:
        return type(value) is self._cls

    def store(self, value: Any, path: str) -> list[Any]:
        if not self.accepts(value):
            raise self.refused(value, path)
        item = self._item
        stored = list(value) if item is None else [item.store(one, f"{path}[{n}]") for n, one in enumerate(value)]
        if issubclass(self._cls, (set, frozenset)):
            try:
                # One set is one text, however it came about.
                stored.sort(key=lambda one: json.dumps(one, sort_keys=True))
            except (TypeError, ValueError):
                raise Refused(
                    path, f"holds what JSON does not have. Annotate its items: {self._cls.__name__}[…]."
                ) from None
        return stored

    def restore(self, value: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError(f"{type(value).__name__} is no list")
        return self._cls(value if self._item is None else map(self._item.restore, value))

    def __str__(self) -> str:
        return self._name if self._item is None else f"{self._name}[{self._item}]"


class AnySequence(Items):
    """A list or a tuple, for whoever asks for either. It arrives as a list, as it does without an annotation."""

    def __init__(self, item: Converter, name: str) -> None:
        super().__init__(list, item, name)

    def accepts(self, value: Any) -> bool:
        return type(value) in (list, tuple)


class FixedTuple(Converter):
    """A tuple whose places have annotations of their own."""

    kinds = frozenset({LIST})

    def __init__(self, places: Sequence[Converter | None]) -> None:
        self._places = places
        self.asks_database = any(place is not None and place.asks_database for place in places)

    def accepts(self, value: Any) -> bool:
        return type(value) is tuple

    def store(self, value: Any, path: str) -> list[Any]:
        if not self.accepts(value):
            raise self.refused(value, path)
        if len(value) != len(self._places):
            raise Refused(path, f"has {len(value)} items, where its annotation asks for {len(self._places)}.")
        pairs = enumerate(zip(self._places, value, strict=True))
        return [one if place is None else place.store(one, f"{path}[{n}]") for n, (place, one) in pairs]

    def restore(self, value: Any) -> Any:
        if not isinstance(value, list):
            raise TypeError(f"{type(value).__name__} is no list")
        pairs = zip(self._places, value, strict=True)
        return tuple(one if place is None else place.restore(one) for place, one in pairs)

    def __str__(self) -> str:
        return f"tuple[{', '.join('Any' if place is None else str(place) for place in self._places)}]"


class Table(Converter):
    """A dictionary; keys that are converted are written as text."""

    kinds = frozenset({OBJECT})

    def __init__(self, key: Converter | None, value: Converter | None) -> None:
        self._key = key
        self._value = value
        self.asks_database = value is not None and value.asks_database

    def accepts(self, value: Any) -> bool:
        return type(value) is dict

    def store(self, value: Any, path: str) -> dict[Any, Any]:
        if not self.accepts(value):
            raise self.refused(value, path)
        return {
            key if self._key is None else self._key.store(key, f"the key {key!r} in {path}"): item
            if self._value is None
            else self._value.store(item, f"{path}[{key!r}]")
            for key, item in value.items()
        }

    def restore(self, value: Any) -> Any:
        return {
            key if self._key is None else self._key.restore(key): item
            if self._value is None
            else self._value.restore(item)
            for key, item in value.items()
        }

    def __str__(self) -> str:
        return f"dict[{self._key or 'str'}, {self._value or 'Any'}]"


def is_key(converter: Converter | None) -> bool:
    """Return whether what this writes can be a key in JSON."""
    return converter is None or converter.kinds == {TEXT}
