"""One call of a task: whether its arguments fit the function, told before anything is stored, and what they are by name."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ._compat import CoreTask
from .speech import gettext as _

#: One call of a task: its positional and its keyword arguments.
Call = tuple[Sequence[Any], Mapping[str, Any]]


def check_call(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError, as the call itself would, where the arguments do not fit the task's function."""
    if task.takes_context:
        args = (None, *args)
    if not kwargs and len(args) in _numbers_of_arguments(task.func):
        return
    signature = _signature(task.func)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as exc:
        words = _("{task}{signature} cannot be called with these arguments: {reason}.")
        # Python tells of one problem only; that an argument is missing is often that another is misspelt.
        unknown = [name for name in _unknown(signature, kwargs) if repr(name) not in str(exc)]
        more = " " + _("It has no {names}.").format(names=", ".join(map(repr, unknown))) if unknown else ""
        raise TypeError(words.format(task=task.module_path, signature=signature, reason=exc) + more) from None


def call_parameters(task: CoreTask) -> list[inspect.Parameter]:
    """Return the parameters that a caller of the task fills."""
    return list(_signature_for_callers(task.func, bool(task.takes_context)).parameters.values())


def takes_any_name(parameters: Iterable[inspect.Parameter]) -> bool:
    """Return whether there is a `**kwargs` among them."""
    return any(each.kind is each.VAR_KEYWORD for each in parameters)


def complete(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """Return the same call with the defaults of the function in it."""
    arguments = _bound(task, args, kwargs)
    return arguments.args, arguments.kwargs


def bound(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's values by the names of the parameters, with the defaults; those of `**kwargs` by their own names."""
    arguments = _bound(task, args, kwargs)
    values = dict(arguments.arguments)
    for each in arguments.signature.parameters.values():
        if each.kind is each.VAR_KEYWORD:
            values |= values.pop(each.name, {})
    return values


def _bound(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    arguments = _signature_for_callers(task.func, bool(task.takes_context)).bind(*args, **kwargs)
    arguments.apply_defaults()
    return arguments


def _unknown(signature: inspect.Signature, kwargs: Mapping[str, Any]) -> list[str]:
    if takes_any_name(signature.parameters.values()):
        return []
    return [name for name in kwargs if name not in signature.parameters]


@functools.cache
def _signature_for_callers(func: Callable[..., Any], takes_context: bool) -> inspect.Signature:
    """Return the signature of a task's function without the context, which the worker fills."""
    return inspect.Signature(list(_signature(func).parameters.values())[takes_context:])


@functools.cache
def _signature(func: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(func)


@functools.cache
def _numbers_of_arguments(func: Callable[..., Any]) -> range:
    """Return how many arguments a function takes where none has a name: most calls are checked by that alone."""
    parameters = _signature(func).parameters.values()
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return range(0)
    required = sum(each.default is each.empty for each in by_position)
    has_rest = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return range(required, sys.maxsize if has_rest else len(by_position) + 1)
