"""Moments as schedules take them: aware, and nothing that has to be guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..exceptions import InvalidSchedule
from ..speech import gettext as _


def aware(moment: Any, what: str = "A moment") -> datetime:
    """Return `moment`. Raise InvalidSchedule for what is none, or says nothing of its time zone."""
    if not isinstance(moment, datetime):
        raise InvalidSchedule(_("{what} is a datetime, not {moment}.").format(what=what, moment=repr(moment)))
    if moment.utcoffset() is None:
        raise InvalidSchedule(
            _(
                "{what} needs a time zone, and {moment} has none. Write datetime(…, "
                "tzinfo=ZoneInfo('Europe/Berlin')), or use django.utils.timezone.make_aware."
            ).format(what=what, moment=repr(moment))
        )
    return moment


def seconds_of(value: Any, what: str, *, least: float = 0.0) -> timedelta:
    """Return a timedelta, or seconds as a number, as a timedelta of at least so many seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise InvalidSchedule(_("{what} cannot be {value} seconds.").format(what=what, value=repr(value))) from None
    if not isinstance(value, timedelta):
        raise InvalidSchedule(
            _("{what} is a timedelta or a number of seconds, not {value}.").format(what=what, value=repr(value))
        )
    if value < timedelta(seconds=least):
        raise InvalidSchedule(
            _("{what} must be {least} seconds or more, not {total_seconds}.").format(
                what=what, least=f"{least:g}", total_seconds=f"{value.total_seconds():g}"
            )
        )
    return value


def in_utc(moment: datetime) -> str:
    """Return a moment as text that reads back exactly."""
    return moment.astimezone(UTC).isoformat()
