"""What travels with a task from `enqueue()` to wherever it runs: context variables, a trace. Nothing, until code says so.

It lies in the job's payload beside the arguments: stores do not look into it, signatures cover it, retries see it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import Context, ContextVar
from typing import Any, TypeVar

from ._compat import CoreTask
from .exceptions import SerializationFailed
from .serialization import dumps

T = TypeVar("T")

_NOTHING = nullcontext()
#: In the order in which they were added.
_carriers: list[Carrier] = []


class Carrier:
    """Takes something along. A subclass overrides what it needs; `add_carrier` has it take part in all tasks."""

    def enqueueing(self, task: CoreTask, number: int) -> AbstractContextManager[None]:
        """Return what surrounds an `enqueue()` of `number` calls, from before `pack` until the store has answered."""
        return _NOTHING

    def pack(self) -> Mapping[str, Any]:
        """Return headers, JSON-able, for the calls that are being enqueued here. What it raises, `enqueue()` raises."""
        return {}

    def unpack(self, headers: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Return what surrounds a run of the task. Of the headers only its own are its business.

        What it raises here fails the task for good, without a run.
        """
        return _NOTHING


def add_carrier(carrier: Carrier) -> None:
    """Have `carrier` take part from now on, inside of those that were added before. Twice is once."""
    if carrier not in _carriers:
        _carriers.append(carrier)


def remove_carrier(carrier: Carrier) -> None:
    """Undo `add_carrier`; one that is not there is no error."""
    if carrier in _carriers:
        _carriers.remove(carrier)


def travels(
    variable: ContextVar[T],
    name: str | None = None,
    *,
    encode: Callable[[T], Any] | None = None,
    decode: Callable[[Any], T] | None = None,
) -> Carrier:
    """Let the value that a context variable has at `enqueue()` be there again while the task runs.

    `name` is the header's, the variable's own by default; `encode` makes a value JSON-able, `decode` takes that back. A
    variable that is not set does not travel: the task sees its default. Raise ValueError for a variable without a default,
    and for a name that another variable travels under.
    """
    carrier = _Variable(variable, name or variable.name, encode or _as_it_is, decode or _as_it_is)
    for other in _carriers:
        if isinstance(other, _Variable) and other.name == carrier.name:
            if other.variable is variable:
                remove_carrier(other)
                break
            raise ValueError(
                f"Two context variables cannot travel under one name, {carrier.name!r}: {other.variable!r} does already. "
                "Give another name=."
            )
    add_carrier(carrier)
    return carrier


class _Variable(Carrier):
    """One context variable."""

    def __init__(
        self, variable: ContextVar[Any], name: str, encode: Callable[[Any], Any], decode: Callable[[Any], Any]
    ) -> None:
        try:
            self._default = Context().run(variable.get)
        except LookupError:
            # Nothing makes a variable unset again: what one task sets, the next in its thread would see.
            raise ValueError(
                f"{variable!r} has no default, and a task that came without a value has to see something. "
                "Write ContextVar(name, default=None)."
            ) from None
        self.variable = variable
        self.name = name
        self._encode = encode
        self._decode = decode

    def pack(self) -> Mapping[str, Any]:
        value = self.variable.get()
        if value is self._default:
            return {}
        try:
            encoded = self._encode(value)
        except Exception as exc:
            raise SerializationFailed(f"{self.name!r} cannot travel with the task: its encode raised {exc!r}.") from exc
        # Here, since an error of the whole payload would be one of the arguments.
        dumps(encoded, f"What travels as {self.name!r}")
        return {self.name: encoded}

    def unpack(self, headers: Mapping[str, Any]) -> AbstractContextManager[None]:
        return self._set(self._decode(headers[self.name]) if self.name in headers else self._default)

    @contextmanager
    def _set(self, value: Any) -> Iterator[None]:
        token = self.variable.set(value)
        try:
            yield
        finally:
            self.variable.reset(token)

    def __repr__(self) -> str:
        return repr(self.name)


def _as_it_is(value: Any) -> Any:
    return value


def enqueueing(task: CoreTask, number: int) -> AbstractContextManager[Any]:
    """Surround an `enqueue()`, as the carriers want it."""
    return _all([carrier.enqueueing(task, number) for carrier in _carriers])


def pack() -> dict[str, Any] | None:
    """Return the headers of what is enqueued here and now; None where nothing travels."""
    if not _carriers:
        return None
    headers: dict[str, Any] = {}
    for carrier in _carriers:
        headers.update(carrier.pack())
    return headers


def unpack(headers: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Return what surrounds a run of a task that came with `headers`. What nobody here knows of is left alone."""
    managers = []
    for carrier in _carriers:
        try:
            managers.append(carrier.unpack(headers))
        except Exception as exc:
            raise SerializationFailed(f"What travelled as {carrier!r} cannot be read here: {exc!r}.") from exc
    return _all(managers)


def _all(managers: Sequence[AbstractContextManager[Any]]) -> AbstractContextManager[Any]:
    return _one_in_the_other(managers) if managers else _NOTHING


@contextmanager
def _one_in_the_other(managers: Sequence[AbstractContextManager[Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for manager in managers:
            stack.enter_context(manager)
        yield
