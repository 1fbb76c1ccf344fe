"""Times of the clock, as cron writes them. croniter reads the expression and finds wall times; see `localtimes` for the rest.

It is imported where it is first used: whoever has no such schedule does without it.
"""

from __future__ import annotations

import threading
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

from django.conf import settings

from ..exceptions import InvalidSchedule
from ..speech import gettext as _
from ..suggestions import nearest
from .fields import fields_of
from .localtimes import next_fixed, next_running
from .moments import aware
from .words import in_words

#: From here on it is looked for a first time, to see that there is any.
_BEGINNING = datetime(2000, 1, 1)
#: Expressions that a thread keeps as croniter has read them.
_MOST_READERS = 1000


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A cron expression in a time zone, `settings.TIME_ZONE` by default: `CronSchedule("0 3 * * *", tz="Europe/Berlin")`.

    Five fields: minute, hour, day of the month, month, day of the week. With `seconds` there are six, and the second stands
    first. Raise InvalidSchedule for an expression or a zone that is none, and for one that never comes.
    """

    expression: str
    tz: str | None = None
    seconds: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str):
            raise InvalidSchedule(
                _("A cron expression is a text like '0 3 * * *', not {expression}.").format(
                    expression=repr(self.expression)
                )
            )
        if isinstance(self.tz, zoneinfo.ZoneInfo):
            object.__setattr__(self, "tz", self.tz.key)
        if self.tz is not None:
            _zone(self.tz)
        _check(self.expression, self.seconds)

    @property
    def fields(self) -> list[str]:
        """The fields in small letters; a word like `@daily` as the fields that it stands for."""
        return fields_of(self.expression, seconds=self.seconds)

    @property
    def zone(self) -> tzinfo:
        """The time zone in which it is read."""
        return _zone(self.tz or settings.TIME_ZONE)

    @property
    def is_fixed(self) -> bool:
        """Whether it names times of the day: none of second, minute and hour has a `*`.

        These come once on each day, whatever is done to the clock. The others come as real time runs.
        """
        return _is_fixed(self.expression, self.seconds)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first time after `moment`, in UTC; None where there is none in the years that Python knows."""
        from croniter import CroniterBadDateError

        find = next_fixed if self.is_fixed else next_running
        try:
            return find(self._next_wall, aware(moment).astimezone(UTC), self.zone)
        except (CroniterBadDateError, OverflowError):
            return None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values, as a row of it is stored."""
        return {"kind": "cron", "expression": self.expression, "tz": self.tz, "seconds": self.seconds}

    def __str__(self) -> str:
        return _("{words}, {zone} time").format(words=in_words(self.fields), zone=self.tz or settings.TIME_ZONE)

    def _next_wall(self, wall: datetime) -> datetime:
        # A naive start has it count on a clock that nobody changes.
        return _reader(self.expression, self.seconds).get_next(datetime, start_time=wall)  # type: ignore[no-any-return, unused-ignore]


class _Readers(threading.local):
    """What croniter has made of expressions: reading one takes it as long as twice finding a time. A reader goes from one
    time to the next, and so is one thread's."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, bool], Any] = {}


_readers = _Readers()


def _reader(expression: str, seconds: bool) -> Any:
    from croniter import croniter

    known = _readers.of
    if (reader := known.get((expression, seconds))) is None:
        reader = croniter(" ".join(fields_of(expression, seconds=seconds)), _BEGINNING, second_at_beginning=seconds)
        if len(known) >= _MOST_READERS:
            known.clear()
        known[expression, seconds] = reader
    return reader


@lru_cache(maxsize=10_000)
def _is_fixed(expression: str, seconds: bool) -> bool:
    return not any("*" in field for field in fields_of(expression, seconds=seconds)[:-3])


@lru_cache(maxsize=10_000)
def _check(expression: str, seconds: bool) -> None:
    from croniter import CroniterBadDateError, CroniterError

    try:
        _reader(expression, seconds).get_next(datetime, start_time=_BEGINNING)
    except CroniterBadDateError:
        raise InvalidSchedule(
            _("Cron expression {expression} never comes: no month that it names has such a day.").format(
                expression=repr(expression)
            )
        ) from None
    except CroniterError as exc:
        raise InvalidSchedule(
            _("Cron expression {expression}: {culprit} cannot be read: {exc}").format(
                expression=repr(expression), culprit=_culprit(expression, seconds), exc=exc
            )
        ) from None


def _culprit(expression: str, seconds: bool) -> str:
    """Name the field that cannot be read even with nothing but stars around it."""
    from croniter import CroniterError, croniter

    names = ["second"] * seconds + ["minute", "hour", "day of the month", "month", "day of the week"]
    fields = fields_of(expression, seconds=seconds)
    for place, (name, field) in enumerate(zip(names, fields, strict=True)):
        alone = ["*"] * len(fields)
        alone[place] = field
        try:
            croniter(" ".join(alone), _BEGINNING, second_at_beginning=seconds)
        except CroniterError:
            return _("the {name} field {field}").format(name=_(name), field=repr(field))
    return _("it")


def _zone(name: str) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError):
        known = zoneinfo.available_timezones()
    if not known:
        raise InvalidSchedule(
            _(
                "No time zone is known here, {name} neither: install the package tzdata with `pip install tzdata`."
            ).format(name=repr(name))
        )
    near = nearest(name, known, cutoff=0.5)
    hint = _("Did you mean {near}?").format(near=repr(near)) if near else _("Names are like 'Europe/Berlin'.")
    raise InvalidSchedule(_("There is no time zone {name}. {hint}").format(name=repr(name), hint=hint))
