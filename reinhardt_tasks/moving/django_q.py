"""Schedules of django-q2."""

from __future__ import annotations

import ast
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils.translation import gettext as _

from ..redaction import REDACTED
from ..schedules import At, CronSchedule, IntervalSchedule, Schedule
from .choices import Choices
from .findings import left, refused
from .moments import aware
from .schedules import Row

APP = "django_q"

#: More runs than this are not counted out.
_MOST_REPEATS = 10_000
#: The last day that every month has.
_SURE_DAY = 28


def read(choices: Choices) -> Iterator[Row]:
    """Yield each schedule, oldest first. Names there may be missing, or be the same: a number makes them our own."""
    for row in apps.get_model(APP, "Schedule").objects.order_by("pk"):
        yield Row(
            name=f"{row.name or row.func} (django-q2 {row.pk})",
            task=row.func,
            declare=partial(_values, row, choices),
        )


def _values(row: Any, choices: Choices, notes: list[str]) -> dict[str, Any]:
    """Return what a declaration is made of. Raise NotTaken for what has no counterpart here."""
    if row.repeats == 0 or row.next_run is None:
        raise left(_("It has no run left."))
    if row.hook:
        raise refused(_("Its hook {hook} has no counterpart: call it at the end of the task.").format(hook=row.hook))
    if row.intended_date_kwarg:
        raise refused(
            _("It passes its due time as {name}: let the task take context.scheduled_for.").format(
                name=row.intended_date_kwarg
            )
        )
    is_hidden = choices.hides(row.func)
    kwargs = _kwargs(row.kwargs, is_hidden=is_hidden)
    if "q_options" in kwargs:
        raise refused(_("Its q_options have no counterpart: {value}.").format(value=kwargs["q_options"]))
    first = aware(row.next_run).replace(microsecond=0)
    schedule = _schedule(row, first)
    if not isinstance(schedule, At) and first <= choices.now:
        notes.append(
            _("It has been due there since {moment}: that run does not come along.").format(
                moment=first.isoformat(" ", "seconds")
            )
        )
    return {
        "schedule": schedule,
        "args": _args(row.args, is_hidden=is_hidden),
        "kwargs": kwargs,
        "queue_name": choices.queue(row.cluster),
        "start": first if first > choices.now else None,
        "end": _end(schedule, row.repeats, max(first, choices.now)),
        "enabled": True,
    }


def _schedule(row: Any, first: datetime) -> Schedule:
    make = _KINDS.get(row.schedule_type)
    if make is None:
        raise refused(_("Its type {kind} is not known here.").format(kind=repr(row.schedule_type)))
    return make(row, first)


def _every(**spans: float) -> Callable[[Any, datetime], Schedule]:
    return lambda row, first: IntervalSchedule(timedelta(**spans), first)


def _daily(row: Any, first: datetime) -> Schedule:
    return _clock(first, "* * *")


def _weekly(row: Any, first: datetime) -> Schedule:
    return _clock(first, f"* * {_local(first).isoweekday() % 7}")


def _months(step: int) -> Callable[[Any, datetime], Schedule]:
    """Return what makes a schedule of every `step` months, on the day and at the time of the next run."""

    def make(row: Any, first: datetime) -> Schedule:
        local = _local(first)
        if local.day > _SURE_DAY:
            raise refused(
                _("It runs on day {day}, which not every month has: write what is meant, such as L, the last.").format(
                    day=local.day
                )
            )
        months = sorted((local.month - 1 + step * number) % 12 + 1 for number in range(12 // step))
        return _clock(first, f"{local.day} {'*' if step == 1 else ','.join(map(str, months))} *")

    return make


def _cron(row: Any, first: datetime) -> Schedule:
    fields = (row.cron or "").split()
    if len(fields) == 6:
        # There the second stands last.
        return CronSchedule(" ".join([fields[-1], *fields[:-1]]), tz=_zone(), seconds=True)
    return CronSchedule(" ".join(fields), tz=_zone())


def _clock(first: datetime, days: str) -> CronSchedule:
    """Return a schedule for the time of the day that `first` has; django-q2 keeps it when the clock is changed."""
    local = _local(first)
    if local.second:
        return CronSchedule(f"{local.second} {local.minute} {local.hour} {days}", tz=_zone(), seconds=True)
    return CronSchedule(f"{local.minute} {local.hour} {days}", tz=_zone())


_KINDS: dict[str, Callable[[Any, datetime], Schedule]] = {
    "O": lambda row, first: At(first),
    "I": lambda row, first: IntervalSchedule(timedelta(minutes=row.minutes or 1), first),
    "H": _every(hours=1),
    "D": _daily,
    "W": _weekly,
    "BW": _every(weeks=2),
    "M": _months(1),
    "BM": _months(2),
    "Q": _months(3),
    "Y": _months(12),
    "C": _cron,
}


def _end(schedule: Schedule, repeats: int, since: datetime) -> datetime | None:
    """Return the last of the runs that are left; None where they have no end."""
    if repeats < 0 or isinstance(schedule, At):
        return None
    if repeats > _MOST_REPEATS:
        raise refused(_("It is to run {number} times more: give it an end.").format(number=repeats))
    slot: datetime | None = since - timedelta(microseconds=1)
    for _number in range(repeats):
        slot = schedule.next_after(slot) if slot is not None else None
    return slot


def _args(text: str | None, *, is_hidden: bool) -> tuple[Any, ...]:
    if not text:
        return ()
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError) as exc:
        raise refused(
            _("Its {what} cannot be {value}.").format(what="args", value=REDACTED if is_hidden else text)
        ) from exc
    return value if isinstance(value, tuple) else (value,)


def _kwargs(text: str | None, *, is_hidden: bool) -> dict[str, Any]:
    """Read both ways in which django-q2 writes them: a dictionary, and `a=1, b=2`."""
    if not text:
        return {}
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = _named(text)
    if not isinstance(value, dict):
        raise refused(_("Its {what} cannot be {value}.").format(what="kwargs", value=REDACTED if is_hidden else text))
    return value


def _named(text: str) -> dict[str, Any] | None:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            return None
        return {str(given.arg): ast.literal_eval(given.value) for given in call.keywords}
    except (SyntaxError, ValueError):
        return None


def _zone() -> str:
    """Return the zone in which django-q2 reads the clock."""
    return str(getattr(settings, "Q_CLUSTER", {}).get("time_zone") or settings.TIME_ZONE)


def _local(moment: datetime) -> datetime:
    return moment.astimezone(zoneinfo.ZoneInfo(_zone()))
