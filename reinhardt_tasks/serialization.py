"""Arguments and return values as JSON text: what cannot be stored exactly is refused, with the place and the way out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from .exceptions import SerializationFailed
from .jobs import Attempt, Claim, Progress
from .timestamps import from_micros, to_micros

T = TypeVar("T")

#: Letters as they are: a column holds so many of them.
_plain = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_encoder = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
#: Lists and dictionaries inside of one another. Whatever reads the value later recurses too, and must not be the first to fail.
DEEPEST = 200
_CONTAINERS = (dict, list, tuple)
_SCALARS = (str, int, float, bool, type(None))


def dumps(value: Any, subject: str) -> str:
    """Return `value` as JSON text. Raise SerializationFailed, naming `subject` and the place in it, where JSON cannot hold it.

    Tuples become lists, as JSON has no tuples; keys that are not text are refused, since JSON would change them.
    """
    return _dumps(value, subject, lambda: {"": value})


class StoredCall(NamedTuple):
    """What a payload holds: a call's arguments, and what travels with it unseen by the task (whose step it is, whose trace)."""

    args: list[Any]
    kwargs: dict[str, Any]
    headers: dict[str, Any]


#: How sentences about a call begin, and how one of them ends.
CALL = "The arguments of"
TOO_DEEP = "are nested too deeply, or contain themselves: JSON can hold neither."


def encode_call(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], headers: Mapping[str, Any] | None = None
) -> str:
    """Return a call's arguments, and its headers where it has some, as the payload of a job."""
    if not args and not kwargs and not headers:
        return "[[],{}]"
    value = [list(args), dict(kwargs), dict(headers)] if headers else [list(args), dict(kwargs)]
    return _dumps(value, f"{CALL} {name}", lambda: {"args": list(args), **kwargs, "headers": headers})


#: A payload that begins so was refused by its store; the rest of the line is the reason, and behind it may lie what was refused.
#: No JSON text begins so.
REFUSED = "!"


def decode_call(payload: str) -> StoredCall:
    """Return what `encode_call` stored. Raise SerializationFailed for a payload that is not one of its."""
    if payload and payload.startswith(REFUSED):
        raise SerializationFailed(payload[len(REFUSED) :].partition("\n")[0])
    try:
        args, kwargs, *rest = json.loads(payload)
        headers = rest[0] if rest else {}
    except (ValueError, TypeError, RecursionError) as exc:
        raise SerializationFailed(
            f"The stored arguments are damaged: these {len(payload or '')} letters are not what was written."
        ) from exc
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(headers, dict) or len(rest) > 1:
        raise SerializationFailed("The stored arguments are damaged: they are no list and dictionary.")
    return StoredCall(args, kwargs, headers)


def encode_progress(progress: Progress | None) -> str | None:
    """Return a task's progress as the text that stores keep: `[done,total]`, with the message where there is one."""
    if progress is None:
        return None
    return _plain.encode([*progress] if progress.message is None else [*progress, progress.message])


def decode_progress(text: str | None) -> Progress | None:
    """Return the progress that `encode_progress` stored; None where there is none, or the text is damaged."""
    if not text:
        return None
    match decode_or(text, list, []):
        case [done, total]:
            return Progress(done, total)
        case [done, total, str(message)]:
            return Progress(done, total, message)
        case _:
            return None


def history_after(claim: Claim, attempt: Attempt) -> str:
    """Return a job's ended attempts, with one that ends now, as the text that stores keep."""
    if attempt.finished_at is None:
        attempt = replace(attempt, finished_at=datetime.now(UTC))
    return encode_history((*claim.job.history, attempt))


def encode_history(attempts: Sequence[Attempt]) -> str:
    """Return a job's ended attempts as the text that stores keep."""
    return _encoder.encode(
        [
            {
                "worker": attempt.worker,
                "started_at": None if attempt.started_at is None else to_micros(attempt.started_at),
                "finished_at": None if attempt.finished_at is None else to_micros(attempt.finished_at),
                "exception": attempt.exception,
                "traceback": attempt.traceback,
                "lost": attempt.lost,
            }
            for attempt in attempts
        ]
    )


def decode_history(text: str | None) -> tuple[Attempt, ...]:
    """Return the attempts that `encode_history` stored; none where the text is damaged."""
    if not text:
        return ()
    return tuple(
        Attempt(
            worker=str(item.get("worker", "")),
            started_at=_moment(item.get("started_at")),
            finished_at=_moment(item.get("finished_at")),
            exception=str(item.get("exception", "")),
            traceback=str(item.get("traceback", "")),
            lost=bool(item.get("lost")),
        )
        for item in decode_or(text, list, [])
        if isinstance(item, dict)
    )


def decode_or(text: str | None, kind: type[T], default: T) -> T:
    """Return the value of a stored JSON text, or `default` where there is none, or one that is damaged."""
    if not text or text == "{}":
        return default
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return default
    return value if isinstance(value, kind) else default


def shown_json(value: Any, *, indent: int | None = None, default: Any = None) -> str:
    """Return JSON as people read and edit it: letters as they are, but for halves of surrogate pairs, which no page and no
    terminal can show. Those are escaped, as JSON has it."""
    return (
        json.dumps(value, ensure_ascii=False, indent=indent, default=default)
        .encode("utf-8", "backslashreplace")
        .decode()
    )


def _moment(micros: Any) -> datetime | None:
    try:
        return None if micros is None else from_micros(micros)
    except (TypeError, ValueError, OverflowError):
        return None


def _dumps(value: Any, subject: str, parts: Callable[[], Mapping[str, Any]]) -> str:
    """Return JSON text; where that fails, look for the reason in `parts()`, under the names that a caller knows them by."""
    try:
        text = _encoder.encode(value)
        if _has_odd_key(value):
            raise TypeError("a key is not text")
    except (TypeError, ValueError, RecursionError) as exc:
        raise SerializationFailed(_explain(parts(), subject, exc)) from exc
    return text


def _has_odd_key(value: Any, depth: int = 0) -> bool:
    # Plain loops: this is on the way of every task.
    if depth > DEEPEST:
        raise RecursionError(f"more than {DEEPEST} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or isinstance(item, _CONTAINERS) and _has_odd_key(item, depth + 1):
                return True
    elif isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, _CONTAINERS) and _has_odd_key(item, depth + 1):
                return True
    return False


def _explain(parts: Mapping[str, Any], subject: str, exc: Exception) -> str:
    if isinstance(exc, RecursionError) or "Circular" in str(exc):
        return f"{subject} {TOO_DEEP}"
    for name, part in parts.items():
        for path, item in _leaves(part, name):
            if (problem := _problem(item)) is not None:
                # args[0] is an argument, and so is name; what is behind a further bracket lies in one.
                is_inside = path.count("[") > (name == "args")
                hint = _annotation_hint(item, is_inside) if subject.startswith(CALL) else ""
                return f"{subject} cannot be stored as JSON: {path or 'the value'} {problem}{hint}"
    return f"{subject} cannot be stored as JSON: {exc}."


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"the key {key!r}{f' in {path}' if path else ''}", _OddKey(key)
            yield from _leaves(item, f"{path}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


class _OddKey:
    def __init__(self, key: Any) -> None:
        self.key = key


def _problem(item: Any) -> str | None:
    match item:
        case _OddKey():
            return f"is {_a(item.key)}; JSON knows keys of text only. Use str(key)."
        case float() if item != item or item in (float("inf"), float("-inf")):
            return f"is {item!r}, which JSON does not have. Pass None or a text."
        case datetime() | date() | time():
            return f"is {_a(item)}. Pass its isoformat() and read it with fromisoformat() in the task."
        case Decimal() | UUID():
            return f"is {_a(item)}. Pass str(value)."
        case bytes() | bytearray() | memoryview():
            return f"is {_a(item)}. Pass text (base64, or value.decode()), or where the bytes are to be found."
        case set() | frozenset():
            return f"is {_a(item)}. Pass sorted(value) or list(value)."
        case _ if hasattr(item, "_meta") and hasattr(item, "pk"):
            return f"is {_a(item)}. Pass its primary key and fetch it in the task."
        case int() if not isinstance(item, bool) and abs(item) > 1 << 14_000:
            return "is a number with too many digits."
        case _ if isinstance(item, _SCALARS):
            return None
        case _:
            return f"is {_a(item)}. Pass text, numbers, booleans, None, lists and dictionaries of these."


def _annotation_hint(item: Any, is_inside: bool) -> str:
    """Return what arguments have for a way out besides, where `arguments` knows the type."""
    is_known = isinstance(item, (date, time, timedelta, Decimal, UUID, set, frozenset, Enum)) or is_dataclass(item)
    if not is_known and not (hasattr(item, "_meta") and hasattr(item, "pk")):
        return ""
    how = "let the parameter's annotation name {} in this place" if is_inside else "annotate the parameter with {}"
    return f" Or {how.format(type(item).__name__)}: then it arrives as it was."


def _a(value: Any) -> str:
    name = type(value).__qualname__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"
