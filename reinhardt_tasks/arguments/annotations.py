"""From annotations to converters. What no converter is for is plain JSON, as without an annotation."""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import types
import typing
from collections import abc
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from .containers import AnySequence, FixedTuple, Items, Table, is_key
from .converters import (
    BOOLEAN,
    EVERY_KIND,
    LIST,
    NULL,
    NUMBER,
    OBJECT,
    SCALARS,
    TEXT,
    Converter,
    EnumConverter,
    Unresolved,
    Whole,
    real_class,
)
from .records import DataclassConverter, NamedTupleConverter, is_named_tuple
from .references import ModelReference, is_model
from .unions import Member, UnionConverter, kind_of

_PLAIN_KINDS: dict[Any, frozenset[str]] = {
    str: frozenset({TEXT}),
    int: frozenset({NUMBER}),
    float: frozenset({NUMBER}),
    bool: frozenset({BOOLEAN}),
    type(None): frozenset({NULL}),
    None: frozenset({NULL}),
    list: frozenset({LIST}),
    dict: frozenset({OBJECT}),
}


def resolved(owner: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the annotations of a function or a class, those that can be resolved here: each by itself."""
    given = getattr(owner, "__annotations__", {})
    module = sys.modules.get(getattr(owner, "__module__", ""))
    # What wraps a function has the globals of another module.
    known = getattr(inspect.unwrap(owner), "__globals__", None) or (vars(module) if module else {})
    hints = {}
    for name in names:
        if name not in given:
            continue
        holder = types.SimpleNamespace(__annotations__={name: given[name]})
        try:
            hints[name] = typing.get_type_hints(holder, globalns=known)[name]
        except Exception:  # noqa: S112 - whatever an annotation says, it is not the task's fault
            continue
    return hints


def annotated(owner: Any, name: str, hints: Mapping[str, Any], default: Any) -> Converter | None:
    """Return what converts a parameter, or a field, of `owner`, whose resolved annotations are `hints`."""
    if name not in hints:
        given = getattr(owner, "__annotations__", {})
        return Unresolved(given[name]) if name in given else None
    # `when: datetime = None` means what it says.
    return converter_for(hints[name] | None if default is None and hints[name] is not Any else hints[name])


def converter_for(annotation: Any) -> Converter | None:
    """Return what converts values of this annotation, or None where JSON has them as they are, or nothing is known of it."""
    annotation = _unwrapped(annotation)
    if isinstance(annotation, type) and (scalar := SCALARS.get(real_class(annotation))) is not None:
        return scalar
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return _union(args)
    if origin is not None:
        return _generic(origin, args)
    if not isinstance(annotation, type):
        return None
    if annotation in (tuple, set, frozenset):
        return Items(annotation, None)
    if issubclass(annotation, enum.Enum):
        return EnumConverter(annotation)
    if is_model(annotation):
        return ModelReference(annotation)
    return _record(typing.cast("Any", annotation))


def _unwrapped(annotation: Any) -> Any:
    """Return what a NewType or a `type` alias stands for."""
    while True:
        under = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
        if under is None or isinstance(annotation, type):
            return annotation
        annotation = under


def _generic(origin: Any, args: tuple[Any, ...]) -> Converter | None:
    if not args:
        return converter_for(origin)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return Items(tuple, converter_for(args[0]))
        return FixedTuple([converter_for(arg) for arg in args])
    if origin in (set, frozenset):
        return Items(origin, converter_for(args[0]))
    if origin in (list, abc.Sequence, abc.Collection, abc.Iterable):
        item = converter_for(args[0])
        if item is None:
            return None
        return Items(list, item) if origin is list else AnySequence(item, origin.__name__)
    if origin in (dict, abc.Mapping):
        key = Whole() if args[0] is int else converter_for(args[0])
        value = converter_for(args[1])
        return None if key is None and value is None or not is_key(key) else Table(key, value)
    # Not of others: what stands in the brackets of a Callable is a list, which no cache takes.
    return _record(origin, args) if isinstance(origin, type) and _is_record(origin) else None


def _union(args: tuple[Any, ...]) -> Converter | None:
    members = [_member(arg) for arg in args]
    return None if all(member.converter is None for member in members) else UnionConverter(members)


def _member(annotation: Any) -> Member:
    converter = converter_for(annotation)
    if converter is not None:
        return Member(str(converter), converter.kinds, converter)
    annotation = _unwrapped(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        kinds = frozenset(filter(None, map(kind_of, typing.get_args(annotation))))
    else:
        kinds = _PLAIN_KINDS.get(typing.get_origin(annotation) or annotation, EVERY_KIND)
    return Member("None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation)), kinds, None)


def _is_record(cls: type) -> bool:
    return is_named_tuple(cls) or is_dataclass(cls)


@functools.cache
def _record(cls: type, given: tuple[Any, ...] = ()) -> Converter | None:
    # One for each class: a class that may be inside of itself would be looked at anew on each level.
    if not _is_record(cls):
        return None
    types = dict(zip(getattr(cls, "__parameters__", ()), given, strict=False))
    if is_named_tuple(cls):
        return NamedTupleConverter(cls, functools.partial(_places, types=types))
    return DataclassConverter(cls, functools.partial(_fields, types=types))


def _fields(cls: type, types: Mapping[Any, Any]) -> dict[str, Converter | None]:
    return {item.name: _field(cls, item.name, item.default, types) for item in fields(cls)}


def _places(cls: Any, types: Mapping[Any, Any]) -> dict[str, Converter | None]:
    defaults = {name: cls._field_defaults.get(name, inspect.Parameter.empty) for name in cls._fields}
    return {name: _field(cls, name, default, types) for name, default in defaults.items()}


def _field(cls: type, name: str, default: Any, types: Mapping[Any, Any]) -> Converter | None:
    # Annotations belong to the class of the family that has written them.
    owner = next((one for one in cls.__mro__ if name in one.__dict__.get("__annotations__", {})), cls)
    hints = resolved(owner, [name])
    return annotated(owner, name, {name: _with_types(hint, types) for name, hint in hints.items()}, default)


def _with_types(hint: Any, types: Mapping[Any, Any]) -> Any:
    """Return an annotation with what stands for its type variables: `list[T]` of a `Box[date]` is `list[date]`."""
    if isinstance(hint, typing.TypeVar):
        return types.get(hint, hint)
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        # A class that stands there bare has variables of its own.
        return hint
    variables = getattr(hint, "__parameters__", ())
    return hint[tuple(types.get(one, one) for one in variables)] if types and variables else hint
