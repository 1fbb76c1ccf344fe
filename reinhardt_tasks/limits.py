"""What `@task` says of limits: unique tasks, concurrency, rates, debouncing, and the keys that they are counted by. Pure.

A key is made where a task is enqueued and stored with it, as are the numbers: no worker needs the task's code to keep them.
"""

from __future__ import annotations

import hashlib
import math
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .arguments import stored_call
from .calls import bound, call_parameters, complete, takes_any_name
from .gates import LARGEST, SLOWEST, Limit, Until, short
from .redaction import REDACTED, hides, secret_places
from .serialization import dumps
from .suggestions import nearest
from .texts import is_storable

#: A format text over the call's arguments, or a function of them that returns a text.
Key = str | Callable[..., str]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"\s*(\d+)\s*/\s*(\d*)\s*([a-z]+)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Unique:
    """No second task with this key is stored until the first has "started" or "finished": enqueueing gives the first's result.

    The default key is the task with its arguments. Raise ValueError for another `until`.
    """

    key: Key | None = None
    until: str = Until.FINISHED.value

    def __post_init__(self) -> None:
        known = [each.value for each in Until]
        if self.until not in known:
            raise ValueError(
                f"unique lasts until 'started' or 'finished', not {self.until!r}{_near(self.until, known)}"
            )


@dataclass(frozen=True)
class Concurrency:
    """At most `limit` tasks with this key run at once, on all machines together. The default key is the task's name.

    Raise ValueError for a limit that is no whole number from 1 on, or one that no store has room for.
    """

    limit: int
    key: Key | None = None

    def __post_init__(self) -> None:
        _check_size("concurrency", self.limit)


@dataclass(frozen=True)
class RateLimit:
    """At most so many tasks with this key start in a time, as in "100/m", on all machines together; see `Limit`.

    Starts are spread evenly. After a pause `burst` of them may begin at once. The default key is the task's name. Raise
    ValueError for a rate that is none: a number, `/`, and `s`, `m`, `h` or `d`, as in "100/15m".
    """

    rate: str
    key: Key | None = None
    burst: int = 1

    def __post_init__(self) -> None:
        self.every  # noqa: B018 - it reads the text
        _check_size("burst", self.burst)

    @property
    def every(self) -> int:
        """Microseconds between two starts in the long run, rounded up: a rate is never exceeded by rounding."""
        found = _RATE.fullmatch(self.rate) if isinstance(self.rate, str) else None
        how = "write it as '100/m': a number, then s, m, h or d, or several of them as in '100/15m'"
        if found is None or int(found[1]) < 1 or found[2] == "0":
            raise ValueError(f"rate_limit {self.rate!r} is no rate; {how}")
        unit = found[3].lower()
        if unit not in _UNITS:
            raise ValueError(f"rate_limit {self.rate!r} has no unit of time in {found[3]!r}; {how}")
        # In whole numbers: a rate may be written with more digits than a float has.
        every = -(-int(found[2] or 1) * _UNITS[unit] * 1_000_000 // int(found[1]))
        if every > SLOWEST:
            raise ValueError(f"rate_limit {self.rate!r} is slower than one start in ten years")
        return every


@dataclass(frozen=True)
class Debounce:
    """A task waits `wait` seconds; enqueued again meanwhile, with the same key, it waits anew and takes the new arguments.

    `max_wait` bounds that, in seconds from the first. The default key is the task with its arguments.
    """

    wait: float | timedelta
    key: Key | None = None
    max_wait: float | timedelta | None = None

    def __post_init__(self) -> None:
        wait, most = _seconds("debounce", self.wait), None
        if self.max_wait is not None:
            most = _seconds("max_wait", self.max_wait)
            if most < wait:
                raise ValueError(f"max_wait ({most:g} s) is shorter than debounce ({wait:g} s)")
        object.__setattr__(self, "wait", wait)
        object.__setattr__(self, "max_wait", most)


def read_unique(value: Any) -> Unique | None:
    """Return what `unique=` says; None for None and False. Raise ValueError for what it may not say; so do those below."""
    match value:
        case None | False:
            return None
        case True:
            return Unique()
        case str():
            return Unique(until=value)
        case Unique():
            return value
    raise ValueError(f"unique is True, 'started', 'finished' or a Unique, not {value!r}")


def read_concurrency(value: Any) -> Concurrency | None:
    if value is None or value is False:
        return None
    return value if isinstance(value, Concurrency) else Concurrency(value)


def read_rate_limit(value: Any) -> RateLimit | None:
    if value is None or value is False:
        return None
    return value if isinstance(value, RateLimit) else RateLimit(value)


def read_debounce(value: Any) -> Debounce | None:
    if value is None or value is False:
        return None
    return value if isinstance(value, Debounce) else Debounce(value)


def check_key(key: Any, task: Any) -> None:
    """Raise ValueError where a key cannot be made of the arguments of `task`."""
    if key is None or callable(key):
        return
    if not isinstance(key, str) or not key:
        raise ValueError(
            f"key is a text such as 'user:{{user_id}}', or a function of the call's arguments, not {key!r}"
        )
    parameters = call_parameters(task)
    names = [each.name for each in parameters]
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(key) if name is not None]
    except ValueError as exc:
        raise ValueError(f"key {key!r} is no format text: {exc}") from exc
    for field in fields:
        name = re.split(r"[.\[]", field, maxsplit=1)[0]
        if name not in names and not takes_any_name(parameters):
            raise ValueError(f"key {key!r} names {name!r}, which is no argument of the task{_near(name, names)}")


def key_of(key: Key | None, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, default: str) -> str:
    """Return the key of one call. Raise TypeError where it cannot be made of these arguments."""
    if key is None:
        return default
    is_open = not hides(task)
    try:
        made = _made(key, task, args, kwargs)
    except Exception as exc:
        problem = repr(exc) if is_open else type(exc).__name__
        raise TypeError(f"The key {key!r} of {task.module_path} cannot be made of these arguments: {problem}") from (
            exc if is_open else None
        )
    if not isinstance(made, str):
        what = repr(made) if is_open else type(made).__name__
        raise TypeError(f"The key of {task.module_path} must be a text; {key!r} returned {what}.")
    if not is_storable(made):
        what = repr(made) if is_open else REDACTED
        raise TypeError(
            f"The key of {task.module_path} has a NUL or half of a surrogate pair in it, which not every store can keep: "
            f"{what}. Clean the argument that it is made of, or use a function that returns a hash."
        )
    return made if is_open or not _tells(key, task, args, kwargs, made) else _hash(made)


def _made(key: Key, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return key(*args, **kwargs) if callable(key) else key.format(**bound(task, args, kwargs))


def _tells(key: Key, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], made: str) -> bool:
    """Return whether a key is made of redacted arguments: with others in their places, another one comes out, or none.

    Not whether their values are found in it: by chance they may be in one call's key, and two calls' keys would differ.
    """
    if not callable(key):
        # As they are given, or left to their defaults: one key.
        args, kwargs = complete(task, args, kwargs)
    secret = secret_places(task, args, kwargs)
    others = [REDACTED if position in secret else value for position, value in enumerate(args)]
    try:
        other = _made(key, task, others, {n: REDACTED if n in secret else value for n, value in kwargs.items()})
    except Exception:
        return True
    return bool(other != made)


def _hash(key: str) -> str:
    return f"#{hashlib.sha256(key.encode()).hexdigest()}"


def call_text(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return a task's name with the call's arguments, the same text however they were passed."""
    values = bound(task, *stored_call(task, *complete(task, args, kwargs)))
    # In one order, at all depths: JSON keeps that in which a dictionary was written.
    text = dumps(_sorted(values), f"The arguments of {task.module_path}")
    return f"{task.module_path}:{hashlib.sha256(text.encode()).hexdigest()}"


def once_of(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a job that say what it is unique by."""
    debounce, unique = task.debounce, task.unique
    rule = debounce or unique
    if rule is None:
        return {}
    # With the task's name: one task's result never stands for another's.
    own = call_text(task, args, kwargs) if rule.key is None else ""
    key = own or f"{task.module_path}:{key_of(rule.key, task, args, kwargs, default='')}"
    fields: dict[str, Any] = {"once_key": short(f"unique:{key}")}
    if debounce is not None:
        return {**fields, "once_until": Until.STARTED, "debounce": debounce.wait, "max_wait": debounce.max_wait}
    return {**fields, "once_until": Until(unique.until)}


def limits_of(task: Any, queue: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Limit, ...]:
    """Return what a call of `task` must pass: its own limits, then those of its queue. All jobs keep to that order."""
    found = []
    if (own := getattr(task, "concurrency", None)) is not None:
        key = key_of(own.key, task, args, kwargs, default=task.module_path)
        found.append(Limit(key=short(f"running:{key}"), size=own.limit))
    if (own := getattr(task, "rate_limit", None)) is not None:
        key = key_of(own.key, task, args, kwargs, default=task.module_path)
        found.append(Limit(key=short(f"rate:{key}"), size=own.burst, every=own.every))
    if queue is not None and queue.concurrency is not None:
        found.append(Limit(key=short(f"queue-running:{queue.name}"), size=queue.concurrency))
    if queue is not None and (rule := read_rate_limit(queue.rate_limit)) is not None:
        found.append(Limit(key=short(f"queue-rate:{queue.name}"), size=rule.burst, every=rule.every))
    return tuple(found)


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    return [_sorted(item) for item in value] if isinstance(value, (list, tuple)) else value


def _check_size(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}")
    if value > LARGEST:
        raise ValueError(f"{name} can be {LARGEST} at most, not {value!r}; leave it out where nothing is to be limited")


def _seconds(name: str, value: Any) -> float:
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number) or number <= 0:
        raise ValueError(f"{name} must be seconds above 0, or a timedelta, not {value!r}")
    return float(number)


def _near(name: Any, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f". Did you mean {near!r}?" if near else f"; it has {', '.join(map(repr, known))}" if known else ""
