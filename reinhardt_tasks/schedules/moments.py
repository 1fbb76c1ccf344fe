"""Moments as schedules take them: aware, and nothing that has to be guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..exceptions import InvalidSchedule


def aware(moment: Any, what: str = "A moment") -> datetime:
    """Return `moment`. Raise InvalidSchedule for what is none, or says nothing of its time zone."""
    if not isinstance(moment, datetime):
        raise InvalidSchedule(f"{what} is a datetime, not {moment!r}.")
    if moment.utcoffset() is None:
        raise InvalidSchedule(
            f"{what} needs a time zone, and {moment!r} has none. Write datetime(…, tzinfo=ZoneInfo('Europe/Berlin')), or "
            "use django.utils.timezone.make_aware."
        )
    return moment


def seconds_of(value: Any, what: str, *, least: float = 0.0) -> timedelta:
    """Return a timedelta, or seconds as a number, as a timedelta of at least so many seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise InvalidSchedule(f"{what} cannot be {value!r} seconds.") from None
    if not isinstance(value, timedelta):
        raise InvalidSchedule(f"{what} is a timedelta or a number of seconds, not {value!r}.")
    if value < timedelta(seconds=least):
        raise InvalidSchedule(f"{what} must be {least:g} seconds or more, not {value.total_seconds():g}.")
    return value


def in_utc(moment: datetime) -> str:
    """Return a moment as text that reads back exactly."""
    return moment.astimezone(UTC).isoformat()
