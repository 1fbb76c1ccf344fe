"""One call of a task: whether its arguments fit the function, told before anything is stored."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
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


def _unknown(signature: inspect.Signature, kwargs: Mapping[str, Any]) -> list[str]:
    parameters = signature.parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return []
    return [name for name in kwargs if name not in signature.parameters]


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
