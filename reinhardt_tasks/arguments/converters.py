"""One annotated type each: how a value of it is written as JSON, exactly, and read again."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string

TEXT, NUMBER, BOOLEAN, NULL, LIST, OBJECT = "text", "number", "boolean", "null", "list", "object"
EVERY_KIND = frozenset({TEXT, NUMBER, BOOLEAN, NULL, LIST, OBJECT})


#: What a converter raises for a value that it did not store.
UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError)


class Refused(Exception):
    """A value cannot be stored as its annotation asks: where it is, and the rest of the sentence."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path


class Converter(ABC):
    """Writes values of one annotation as JSON, and reads them. Its text is the annotation, for people."""

    #: Which kinds of JSON values it writes.
    kinds: frozenset[str]
    asks_database = False

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Return whether this annotation is the one of `value`, without a look at what is inside."""

    @abstractmethod
    def store(self, value: Any, path: str) -> Any:
        """Return what JSON can hold for `value`. Raise Refused where reading it again would not give the same."""

    @abstractmethod
    def restore(self, value: Any) -> Any:
        """Return what was stored. Raise ValueError, TypeError or LookupError for what was not."""

    @abstractmethod
    def __str__(self) -> str: ...

    def is_written(self, value: Any) -> bool:
        """Return whether a text or a number is letter by letter what is stored for a value of this annotation.

        It may stand for that value: so callers pass it who know Django's own backends, which do not ask annotations.
        """
        if type(value) not in (str, int):
            return False
        try:
            written = self.store(self.restore(value), "")
        except (Refused, *UNREADABLE):
            return False
        return type(written) is type(value) and bool(written == value)

    def refused(self, value: Any, path: str) -> Refused:
        return Refused(path, f"is {a(value)}, where its annotation asks for {self}.")


class Unresolved(Converter):
    """An annotation that names nothing here: JSON decides, but the sentence about what that has not is another one."""

    kinds = EVERY_KIND

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation

    def accepts(self, value: Any) -> bool:
        return value is None or isinstance(value, (str, int, float, list, tuple, dict))

    def store(self, value: Any, path: str) -> Any:
        if not self.accepts(value):
            raise Refused(
                path,
                f"is {a(value)}, and its annotation {self} cannot be resolved, so nothing is known of it. Import what that "
                "names where the module is loaded, not under TYPE_CHECKING.",
            )
        return value

    def restore(self, value: Any) -> Any:
        return value

    def __str__(self) -> str:
        return repr(self._annotation)


class Scalar(Converter):
    """A class whose values are written as text. Subclasses of it would come back as the class itself, and are refused."""

    kinds = frozenset({TEXT})

    def __init__(
        self,
        cls: type,
        write: Callable[[Any], str],
        read: Callable[[str], Any],
        problem: Callable[[Any], str | None] = lambda value: None,
    ) -> None:
        self._cls = cls
        self._write = write
        self._read = read
        self._problem = problem

    def accepts(self, value: Any) -> bool:
        return real_class(type(value)) is self._cls

    def store(self, value: Any, path: str) -> str:
        if not self.accepts(value):
            if self.is_written(value):
                return str(value)
            raise self.refused(value, path)
        if (problem := self._problem(value)) is not None:
            raise Refused(path, problem)
        return self._write(value)

    def restore(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")
        return self._read(value)

    def __str__(self) -> str:
        return self._cls.__name__


class EnumConverter(Converter):
    """An Enum, by its value where all its values are texts, or whole numbers; else by its name. A Flag is a number."""

    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls
        kinds = {type(member.value) for member in cls}
        self._by_value = issubclass(cls, enum.Flag) or kinds in ({str}, {int})
        self.kinds = frozenset({NUMBER if self._by_value and kinds != {str} else TEXT})

    def accepts(self, value: Any) -> bool:
        return type(value) is self._cls

    def store(self, value: Any, path: str) -> Any:
        if not self.accepts(value):
            if self.is_written(value):
                return value
            raise self.refused(value, path)
        return value.value if self._by_value else value.name

    def restore(self, value: Any) -> Any:
        return self._cls(value) if self._by_value else self._cls[value]

    def __str__(self) -> str:
        return self._cls.__name__


class Whole(Converter):
    """A whole number, as a key of a dictionary, which JSON has as text."""

    kinds = frozenset({TEXT})

    def accepts(self, value: Any) -> bool:
        return type(value) is int

    def store(self, value: Any, path: str) -> str:
        if not self.accepts(value) and not self.is_written(value):
            raise self.refused(value, path)
        return str(value)

    def restore(self, value: Any) -> int:
        return int(value)

    def __str__(self) -> str:
        return "int"


def write_datetime(value: datetime) -> str:
    """Write a moment with its time zone, in the manner of RFC 9557: 2026-03-29T03:30:00+02:00[Europe/Berlin]."""
    zone = f"[{value.tzinfo.key}]" if isinstance(value.tzinfo, ZoneInfo) else ""
    return value.isoformat() + zone


def read_datetime(text: str) -> datetime:
    text, _, key = text.removesuffix("]").partition("[")
    moment = datetime.fromisoformat(text)
    if not key:
        return moment
    zone = ZoneInfo(key)
    for fold in (0, 1):
        local = moment.replace(tzinfo=zone, fold=fold)
        if local.utcoffset() == moment.utcoffset():
            return local
    # The zone has other rules here than where it was written: the moment counts.
    return moment.astimezone(zone)


def datetime_problem(value: datetime) -> str | None:
    zone = value.tzinfo
    if zone is None:
        return "has no time zone and fold=1, which its text does not tell. Make it aware." if value.fold else None
    if type(zone) is timezone or type(zone) is ZoneInfo and zone.key:
        return None
    return f"has the time zone {zone!r}, which cannot be stored. Use zoneinfo, or value.astimezone(UTC)."


def time_problem(value: time) -> str | None:
    if value.fold:
        return "has fold=1, which its text does not tell."
    if value.tzinfo is None or type(value.tzinfo) is timezone:
        return None
    return (
        f"has the time zone {value.tzinfo!r}, which has no offset without a date. Pass a datetime, or the zone's name."
    )


def read_duration(text: str) -> timedelta:
    duration = parse_duration(text)
    if duration is None:
        raise ValueError(f"{text!r} is no duration")
    return duration


SCALARS: dict[Any, Converter] = {
    datetime: Scalar(datetime, write_datetime, read_datetime, datetime_problem),
    date: Scalar(date, date.isoformat, date.fromisoformat),
    time: Scalar(time, time.isoformat, time.fromisoformat, time_problem),
    timedelta: Scalar(timedelta, duration_iso_string, read_duration),
    Decimal: Scalar(Decimal, str, Decimal),
    UUID: Scalar(UUID, str, UUID),
}


def real_class(cls: type) -> type:
    """Return the class that freezegun has put another in the place of, while a test stops the time; else the class itself."""
    return next((one for one in cls.__mro__ if not one.__module__.startswith("freezegun")), cls)


def a(value: Any) -> str:
    """Return what a value is, with its article."""
    if value is None:
        return "None"
    name = type(value).__qualname__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"
