"""What a schedule is, and how one is kept as text and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from ..exceptions import InvalidSchedule
from ..speech import gettext as _
from .cron import CronSchedule
from .intervals import At, IntervalSchedule


@runtime_checkable
class Schedule(Protocol):
    """Says when it is next due. One of your own may be used in code; it must give the same answers in every process."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first of its times after `moment` (never `moment` itself), aware; None where none follows."""
        ...


def as_schedule(value: Any) -> Schedule:
    """Return a schedule: itself, a text as a cron expression, a duration as an interval, a moment as itself, a
    dictionary as `schedule_as_dict` makes it. Raise InvalidSchedule for what is none of them."""
    match value:
        case str():
            return CronSchedule(value)
        case timedelta() | int() | float() if not isinstance(value, bool):
            return IntervalSchedule(value)  # type: ignore[arg-type]
        case datetime():
            return At(value)
        case Mapping():
            return schedule_from_dict(value)
    if isinstance(value, Schedule) and not isinstance(value, type):
        return value
    raise InvalidSchedule(
        _(
            "{value} is no schedule. Use CronSchedule('0 3 * * *'), IntervalSchedule(timedelta(hours=1)), "
            "At(datetime(…)), or an object with a method next_after(moment)."
        ).format(value=repr(value))
    )


def schedule_as_dict(schedule: Schedule) -> dict[str, Any]:
    """Return what JSON can hold of a schedule. Raise InvalidSchedule for one that lives in code only."""
    if isinstance(schedule, (CronSchedule, IntervalSchedule, At)):
        return schedule.as_dict()
    raise InvalidSchedule(
        _("{schedule} is of a kind that only code can make; it cannot be kept as text.").format(schedule=repr(schedule))
    )


def schedule_from_dict(given: Mapping[str, Any]) -> Schedule:
    """Return the schedule that `schedule_as_dict` has told. Raise InvalidSchedule, which says what is wrong."""
    values = dict(given)
    kind = values.pop("kind", "cron" if "expression" in values else None)
    if kind not in _READERS:
        raise InvalidSchedule(
            _("A schedule's 'kind' is one of {known}, not {kind}.").format(known=", ".join(_READERS), kind=repr(kind))
        )
    try:
        return _READERS[kind](**values)
    except (TypeError, KeyError, ValueError) as exc:
        if isinstance(exc, InvalidSchedule):
            raise
        raise InvalidSchedule(
            _("The schedule {given} cannot be read: {exc}.").format(given=repr(dict(given)), exc=exc)
        ) from exc


def schedule_as_text(schedule: Schedule) -> str:
    """Return a schedule as one line of JSON, the same for equal schedules."""
    return json.dumps(schedule_as_dict(schedule), sort_keys=True)


@lru_cache(maxsize=20_000)
def schedule_from_text(text: str) -> Schedule:
    """Return the schedule that `schedule_as_text` has told. Raise InvalidSchedule for a text that is none."""
    try:
        values = json.loads(text)
    except ValueError as exc:
        raise InvalidSchedule(
            _("The stored schedule {text} is no JSON: {exc}.").format(text=repr(text[:80]), exc=exc)
        ) from exc
    if not isinstance(values, dict):
        raise InvalidSchedule(_("The stored schedule {text} is no JSON object.").format(text=repr(text[:80])))
    return schedule_from_dict(values)


def _cron(expression: str, tz: str | None = None, seconds: bool = False) -> Schedule:
    return CronSchedule(expression, tz, seconds)


def _interval(microseconds: int, anchor: str | None = None) -> Schedule:
    every = timedelta(microseconds=microseconds)
    return IntervalSchedule(every) if anchor is None else IntervalSchedule(every, datetime.fromisoformat(anchor))


def _at(moment: str) -> Schedule:
    return At(datetime.fromisoformat(moment))


_READERS: dict[Any, Callable[..., Schedule]] = {"cron": _cron, "interval": _interval, "at": _at}
