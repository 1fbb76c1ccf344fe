"""Periodic tasks of django-celery-beat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.utils.translation import gettext as _

from ..redaction import REDACTED
from ..schedules import At, CronSchedule, IntervalSchedule, Schedule
from .choices import Choices
from .findings import left, refused
from .moments import aware
from .schedules import Row

APP = "django_celery_beat"

#: Celery's own housekeeping: it deletes old results, which workers do here by themselves.
_HOUSEKEEPING = "celery.backend_cleanup"


def read(choices: Choices) -> Iterator[Row]:
    """Yield each periodic task, by name."""
    table = apps.get_model(APP, "PeriodicTask").objects
    for row in table.select_related("interval", "crontab", "clocked", "solar").order_by("name"):
        yield Row(name=row.name, task=row.task, declare=partial(_values, row, choices))


def _values(row: Any, choices: Choices, notes: list[str]) -> dict[str, Any]:
    """Return what a declaration is made of. Raise NotTaken for what has no counterpart here."""
    if row.task == _HOUSEKEEPING:
        raise left(_("Workers here delete old results by themselves."))
    if row.one_off and not row.enabled and row.total_run_count:
        raise left(_("It was to run once, and has run."))
    if row.expire_seconds is not None:
        raise refused(
            _("Its tasks expire after {number} s in the queue; here a waiting task never does.").format(
                number=row.expire_seconds
            )
        )
    schedule = _schedule(row)
    if row.one_off and not isinstance(schedule, At):
        schedule = _once(schedule, aware(row.start_time), choices)
    _note_what_is_left_out(row, notes)
    return {
        "schedule": schedule,
        "args": _json(row.args, "args", list, is_hidden=choices.hides(row.task)),
        "kwargs": _json(row.kwargs, "kwargs", dict, is_hidden=choices.hides(row.task)),
        "queue_name": choices.queue(row.queue),
        "priority": choices.priority(row.priority),
        "start": aware(row.start_time),
        "end": aware(row.expires),
        "enabled": row.enabled,
    }


def _schedule(row: Any) -> Schedule:
    if row.solar is not None:
        raise refused(_("Schedules by the sun are not known here ({schedule}).").format(schedule=row.solar))
    if row.clocked is not None:
        return At(aware(row.clocked.clocked_time))
    if row.interval is not None:
        every = timedelta(**{row.interval.period: row.interval.every})
        anchor = aware(row.last_run_at or row.start_time)
        # Beat counts from the last run: the rhythm goes on as it was.
        return IntervalSchedule(every) if anchor is None else IntervalSchedule(every, anchor)
    if row.crontab is not None:
        return _cron(row.crontab)
    raise refused(_("It has no schedule."))


def _cron(row: Any) -> CronSchedule:
    fields = [row.minute, row.hour, row.day_of_month, row.month_of_year, row.day_of_week]
    # Celery takes lists with spaces between.
    fields = ["".join(field.split()) for field in fields]
    if fields[2] != "*" and fields[4] != "*":
        raise refused(
            _(
                "{expression}: Celery runs it where both the day of the month and the day of the week fit, cron (and this "
                "package) where either does."
            ).format(expression=" ".join(fields))
        )
    return CronSchedule(" ".join(fields), tz=str(row.timezone))


def _once(schedule: Schedule, start: datetime | None, choices: Choices) -> At:
    after = choices.now if start is None else max(choices.now, start - timedelta(microseconds=1))
    moment = schedule.next_after(after)
    if moment is None:
        raise left(_("It never comes."))
    return At(moment)


def _json(text: str, what: str, kind: type, *, is_hidden: bool = False) -> Any:
    try:
        value = json.loads(text or ("[]" if kind is list else "{}"))
    except ValueError as exc:
        raise refused(_("Its {what} are no JSON: {problem}.").format(what=what, problem=exc)) from exc
    if not isinstance(value, kind):
        shown = REDACTED if is_hidden else repr(value)
        raise refused(_("Its {what} cannot be {value}.").format(what=what, value=shown))
    return value


def _note_what_is_left_out(row: Any, notes: list[str]) -> None:
    for name, value in (("exchange", row.exchange), ("routing_key", row.routing_key), ("description", row.description)):
        if value:
            notes.append(_("{name} {value} is left out.").format(name=name, value=repr(value)))
    if _json(row.headers, "headers", dict):
        notes.append(_("{name} {value} is left out.").format(name="headers", value=row.headers))
