"""Arguments of the types that a task's annotations ask for: stored as plain JSON, given back as they were.

`converter_of(task)` is None where nothing needs converting. What cannot be stored exactly is refused where it is enqueued.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from .._compat import CoreTask
from ..exceptions import InstanceMissing, SerializationFailed
from ..redaction import call_cleaner, hides
from ..serialization import CALL, TOO_DEEP
from .annotations import annotated, resolved
from .converters import UNREADABLE, Converter, Refused

Leaves = Callable[[Any], bool]
StoredArguments = tuple[list[Any], dict[str, Any]]


class CallConverter:
    """Converts the arguments of one function, those of its parameters that ask for it."""

    def __init__(self, func: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> None:
        self._place = f"{func.__module__}.{func.__qualname__}"
        hints = resolved(func, [parameter.name for parameter in parameters])
        self._by_position: list[Converter | None] = []
        self._by_name: dict[str, Converter | None] = {}
        self._rest: Converter | None = None
        self._others: Converter | None = None
        for parameter in parameters:
            converter = annotated(func, parameter.name, hints, parameter.default)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = converter
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._others = converter
            else:
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    self._by_position.append(converter)
                if parameter.kind is not parameter.POSITIONAL_ONLY:
                    self._by_name[parameter.name] = converter
        every = [*self._by_position, *self._by_name.values(), self._rest, self._others]
        self.is_needed = any(converter is not None for converter in every)
        #: Whether giving arguments back may ask a database.
        self.asks_database = any(converter is not None and converter.asks_database for converter in every)

    def stored(self, args: Sequence[Any], kwargs: Mapping[str, Any], leaves: Leaves | None = None) -> StoredArguments:
        """Return arguments as JSON has them. Raise SerializationFailed, naming the place, for what is not as annotated.

        Those for which `leaves(value)` is true stay as they are.
        """

        def store(converter: Converter, value: Any, path: str) -> Any:
            return value if leaves is not None and leaves(value) else converter.store(value, path)

        try:
            return self._converted(args, kwargs, store)
        except Refused as exc:
            raise SerializationFailed(f"{CALL} {self._place} cannot be stored: {exc.path} {exc}") from None
        except RecursionError:
            raise SerializationFailed(f"{CALL} {self._place} {TOO_DEEP}") from None

    def restored(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> StoredArguments:
        """Return stored arguments as the function takes them.

        Raise InstanceMissing where a model instance is gone, SerializationFailed where what is stored does not fit.
        """
        return self._converted(args, kwargs, self._restore)

    def misfit(self, args: Sequence[Any], kwargs: Mapping[str, Any], unless: Container[str] = ()) -> Refused | None:
        """Return which stored argument is not what its annotation asks for, without its value; None where none is known.

        No database is asked: arguments that hold model instances are passed over, and so are those at `unless`.
        """

        def read(converter: Converter, value: Any, path: str) -> Any:
            if converter.asks_database or path in unless:
                return value
            try:
                return converter.restore(value)
            except UNREADABLE:
                raise Refused(path, str(converter)) from None

        try:
            self._converted(args, kwargs, read)
        except Refused as exc:
            return exc
        return None

    def _restore(self, converter: Converter, value: Any, path: str) -> Any:
        try:
            return converter.restore(value)
        except (InstanceMissing, SerializationFailed):
            raise
        except UNREADABLE as exc:
            raise SerializationFailed(
                f"The stored argument {path} of {self._place} is no {converter}: {type(exc).__name__}: {exc}. "
                "It was stored for other annotations, or changed since."
            ) from exc

    def _converted(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], convert: Callable[[Converter, Any, str], Any]
    ) -> StoredArguments:
        new_args = list(args)
        for position, value in enumerate(args):
            converter = self._by_position[position] if position < len(self._by_position) else self._rest
            if converter is not None:
                new_args[position] = convert(converter, value, f"args[{position}]")
        new_kwargs = dict(kwargs)
        for name, value in kwargs.items():
            converter = self._by_name.get(name, self._others)
            if converter is not None:
                new_kwargs[name] = convert(converter, value, name)
        return new_args, new_kwargs


def stored_call(
    task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any], leaves: Leaves | None = None
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return a call's arguments as they are stored: those that nothing converts as they are. See CallConverter.stored()."""
    converter = converter_of(task)
    return (args, kwargs) if converter is None else converter.stored(args, kwargs, leaves)


def passed_call(
    task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return stored arguments as one would pass them to `enqueue()`.

    Raise what CallConverter.restored() raises, for people: without the values of redacted arguments.
    """
    converter = converter_of(task)
    if converter is None:
        return args, kwargs
    try:
        return converter.restored(args, kwargs)
    except (InstanceMissing, SerializationFailed) as exc:
        if not hides(task):
            raise
        raise type(exc)(call_cleaner(task, args, kwargs)(str(exc))) from None


def converter_of(task: CoreTask) -> CallConverter | None:
    """Return what converts the arguments of a task, or None where nothing needs it."""
    return _converter(task.func, bool(task.takes_context))


@functools.cache
def _converter(func: Callable[..., Any], takes_context: bool) -> CallConverter | None:
    # Not before the first call: by then the module is there, with all that its annotations name.
    try:
        parameters = list(inspect.signature(func).parameters.values())
    except (TypeError, ValueError):
        return None
    converter = CallConverter(func, parameters[takes_context:])
    return converter if converter.is_needed else None


__all__ = ["CallConverter", "Converter", "converter_of", "passed_call", "stored_call"]
