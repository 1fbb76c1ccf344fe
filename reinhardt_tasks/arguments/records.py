"""What has fields, each with an annotation of its own: dataclasses, named tuples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields
from typing import Any

from .converters import LIST, OBJECT, Converter, Refused

#: What a class might change in place while it is made.
_CHANGEABLE = (list, dict, set)


class Record(Converter):
    """What is inside is looked at when first needed: it may be itself."""

    # It may hold model instances; whether it does is known later.
    asks_database = True

    def __init__(self, cls: type, compile_fields: Callable[[type], dict[str, Converter | None]]) -> None:
        self._cls = cls
        self._compile = compile_fields
        self._fields: dict[str, Converter | None] | None = None

    @property
    def _converters(self) -> dict[str, Converter | None]:
        if self._fields is None:
            self._fields = self._compile(self._cls)
        return self._fields

    def accepts(self, value: Any) -> bool:
        return type(value) is self._cls

    def __str__(self) -> str:
        return self._cls.__name__


class DataclassConverter(Record):
    """A dataclass, as a dictionary of its fields."""

    kinds = frozenset({OBJECT})

    def store(self, value: Any, path: str) -> dict[str, Any]:
        if not self.accepts(value):
            raise self.refused(value, path)
        if derived := [item.name for item in fields(self._cls) if not item.init]:
            raise Refused(path, f"has fields that its class computes itself ({', '.join(derived)}): pass its parts.")
        items = {name: getattr(value, name) for name in self._converters}
        self._refuse_another(items, path)
        return {
            name: items[name] if converter is None else converter.store(items[name], f"{path}.{name}")
            for name, converter in self._converters.items()
        }

    def restore(self, value: Any) -> Any:
        known = self._converters
        if not isinstance(value, Mapping):
            raise TypeError(f"{type(value).__name__} is no dictionary of fields")
        if unknown := value.keys() - known.keys():
            raise LookupError(f"{self} has no field {', '.join(sorted(unknown))}")
        given = {
            name: item if (converter := known[name]) is None else converter.restore(item)
            for name, item in value.items()
        }
        return self._cls(**given)

    def _refuse_another(self, items: Mapping[str, Any], path: str) -> None:
        """Raise Refused where the class makes no such instance of these fields: it has an `__init__` or a `__post_init__`."""
        given = {name: copy(item) if type(item) in _CHANGEABLE else item for name, item in items.items()}
        try:
            again = self._cls(**given)
        except Exception as exc:
            # Others may repeat what was passed.
            reason = str(exc) if isinstance(exc, TypeError) else type(exc).__name__
            raise Refused(path, f"cannot be made again of its fields ({reason}): pass its parts.") from None
        for name, item in items.items():
            there = getattr(again, name)
            if there is not item and there != item:
                raise Refused(path, f"would come back with another {name}, which its class changes: pass its parts.")


class NamedTupleConverter(Record):
    """A named tuple, as a list of its fields. A plain list or tuple of these is the same in JSON, and passes."""

    kinds = frozenset({LIST})

    def store(self, value: Any, path: str) -> list[Any]:
        if not self.accepts(value) and type(value) not in (list, tuple):
            raise self.refused(value, path)
        known = self._converters
        if len(value) != len(known):
            raise Refused(path, f"has {len(value)} items, where {self} has {len(known)}.")
        pairs = zip(known.items(), value, strict=True)
        return [
            item if converter is None else converter.store(item, f"{path}.{name}") for (name, converter), item in pairs
        ]

    def restore(self, value: Any) -> Any:
        known = self._converters
        if not isinstance(value, list):
            raise TypeError(f"{type(value).__name__} is no list of fields")
        if len(value) > len(known):
            raise ValueError(f"{self} has {len(known)} fields, not {len(value)}")
        pairs = zip(known.values(), value, strict=False)
        given = [item if converter is None else converter.restore(item) for converter, item in pairs]
        cls: Any = self._cls
        # An old task lacks what is new.
        return cls._make([*given, *(cls._field_defaults[name] for name in list(known)[len(value) :])])


def is_named_tuple(cls: type) -> bool:
    """Return whether this is a NamedTuple, or of the class that `collections.namedtuple` makes."""
    return issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_make")
