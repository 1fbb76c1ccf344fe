"""From annotations to converters. What no converter is for is plain JSON, as without an annotation."""

from __future__ import annotations

import enum
import functools
import inspect
import sys
import types
import typing
from collections import abc
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from .containers import FixedTuple, Items, Table, is_key
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


def with_default(annotation: Any, default: Any) -> Any:
    """Return the annotation of what has this default: `when: datetime = None` means what it says."""
    return annotation | None if default is None and annotation is not Any else annotation


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
        return None if item is None else Items(list, item)
    if origin in (dict, abc.Mapping):
        key = Whole() if args[0] is int else converter_for(args[0])
        value = converter_for(args[1])
        return None if key is None and value is None or not is_key(key) else Table(key, value)
    return _record(origin) if isinstance(origin, type) and is_named_tuple(origin) else None


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


@functools.cache
def _record(cls: type) -> Converter | None:
    # One for each class: a class that may be inside of itself would be looked at anew on each level.
    if is_named_tuple(cls):
        return NamedTupleConverter(cls, _places)
    return DataclassConverter(cls, _fields) if is_dataclass(cls) else None


def _fields(cls: type) -> dict[str, Converter | None]:
    return {item.name: _field(cls, item.name, item.default) for item in fields(cls)}


def _places(cls: Any) -> dict[str, Converter | None]:
    return {name: _field(cls, name, cls._field_defaults.get(name, inspect.Parameter.empty)) for name in cls._fields}


def _field(cls: type, name: str, default: Any) -> Converter | None:
    # Annotations belong to the class of the family that has written them.
    owner = next((one for one in cls.__mro__ if name in one.__dict__.get("__annotations__", {})), cls)
    return converter_for(with_default(resolved(owner, [name]).get(name, Any), default))
