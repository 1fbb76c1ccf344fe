"""A cron expression in plain words. Where it has no plain form the fields are told one by one, and never wrongly.

Languages put times, days and months in orders of their own, so that each sentence is made of parts whose order is itself a
message to translate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from django.utils.translation import gettext_noop

from ..speech import gettext as _

_DAYS = (
    gettext_noop("Sunday"),
    gettext_noop("Monday"),
    gettext_noop("Tuesday"),
    gettext_noop("Wednesday"),
    gettext_noop("Thursday"),
    gettext_noop("Friday"),
    gettext_noop("Saturday"),
    "Sunday",
)
_SHORT_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = [
    gettext_noop("January"),
    gettext_noop("February"),
    gettext_noop("March"),
    gettext_noop("April"),
    gettext_noop("May"),
    gettext_noop("June"),
    gettext_noop("July"),
    gettext_noop("August"),
    gettext_noop("September"),
    gettext_noop("October"),
    gettext_noop("November"),
    gettext_noop("December"),
]
#: The nth of the days of the week that the months have.
_NTHS = (
    "",
    gettext_noop("the first {day} of the month"),
    gettext_noop("the second {day} of the month"),
    gettext_noop("the third {day} of the month"),
    gettext_noop("the fourth {day} of the month"),
    gettext_noop("the fifth {day} of the month"),
)
#: Unit → each one, each so many, at some of them.
UNITS = {
    "day": (gettext_noop("every day"), gettext_noop("every {n} days"), ""),
    "hour": (gettext_noop("every hour"), gettext_noop("every {n} hours"), gettext_noop("at hour {numbers}")),
    "minute": (gettext_noop("every minute"), gettext_noop("every {n} minutes"), gettext_noop("at minute {numbers}")),
    "second": (gettext_noop("every second"), gettext_noop("every {n} seconds"), gettext_noop("at second {numbers}")),
}
#: Times of the day that are told one by one; of more it is said how they come about.
_FEW = 6


def in_words(fields: list[str]) -> str:
    """Return the sentence for five fields, or six with the second first, all of them in small letters and valid."""
    second, minute, hour, day, month, weekday = fields if len(fields) == 6 else ["0", *fields]
    few = _times_of_day(second, minute, hour)
    parts = {
        "times": few or _times(second, minute, hour),
        "days": _days(day, weekday, is_daily=bool(few)),
        "months": _months(month),
    }
    return " ".join(_ordered(_("times days months"), parts))


def every(unit: str, number: str) -> str:
    """Return "every minute", or "every 5 minutes"."""
    one, many, _some = UNITS[unit]
    return _(one) if number == "1" else _(many).format(n=number)


def _ordered(order: str, parts: dict[str, str]) -> list[str]:
    """Return the parts that there are, in a language's own order."""
    return [parts[name] for name in order.split() if parts.get(name)]


def _times_of_day(second: str, minute: str, hour: str) -> str:
    """Return the times of the day, where they are few; else nothing."""
    if not all(_is_list(field) for field in (second, minute, hour)):
        return ""
    moments = sorted(
        (int(h), int(m), int(s)) for h in hour.split(",") for m in minute.split(",") for s in second.split(",")
    )
    if len(moments) > _FEW:
        return ""
    times = (f"{h:02}:{m:02}" + (f":{s:02}" if second != "0" else "") for h, m, s in moments)
    return _("at {times}").format(times=_listed(times))


def _times(second: str, minute: str, hour: str) -> str:
    parts = {}
    if second != "0":
        parts["second"] = _every("second", second)
    if minute != "*" or second == "0":
        parts["minute"] = _every("minute", minute)
    if hour != "*" or _is_list(minute):
        parts["hour"] = _every("hour", hour)
    return _(", ").join(_ordered(_("second minute hour"), parts))


def _every(unit: str, field: str) -> str:
    if field == "*":
        return every(unit, "1")
    if step := re.fullmatch(r"\*/(\d+)", field):
        return every(unit, step[1])
    return _(UNITS[unit][2]).format(numbers=_listed(_span(part) for part in field.split(",")))


def _days(day: str, weekday: str, *, is_daily: bool) -> str:
    on_day = "" if day in ("*", "?") else _day_of_month(day)
    on_weekday = ""
    if weekday not in ("*", "?"):
        on_weekday = _("on {days}").format(days=_listed(_weekday(part) for part in weekday.split(",")))
    if on_day and on_weekday:
        return _("{one} and also {other}").format(one=on_day, other=on_weekday)
    return on_day or on_weekday or (every("day", "1") if is_daily else "")


def _day_of_month(field: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", field):
        if step[1] == "1":
            return every("day", "1")
        return _("on day 1 of the month and every {n} days from there").format(n=step[1])
    parts = []
    for part in field.split(","):
        near = re.fullmatch(r"w?(\d+)w?", part)
        if part == "l":
            parts.append(_("the last day"))
        elif near and "w" in part:
            parts.append(_("the weekday nearest to day {day}").format(day=near[1]))
        else:
            parts.append(_("day {day}").format(day=_span(part)))
    return _("on {days} of the month").format(days=_listed(parts))


def _weekday(part: str) -> str:
    if last := re.fullmatch(r"l(\d)", part):
        return _("the last {day} of the month").format(day=_day_name(last[1]))
    if nth := re.fullmatch(r"(\w+)#(\d)", part):
        return _(_NTHS[int(nth[2])]).format(day=_day_name(nth[1]))
    return _span(part, _day_name)


def _months(field: str) -> str:
    if field == "*":
        return ""
    return _("in {months}").format(months=_listed(_span(part, _month_name) for part in field.split(",")))


def _span(part: str, name: Callable[[str], str] = str) -> str:
    """Return one item of a list: a value, a range, either with a step."""
    body, _slash, step = part.partition("/")
    first, dash, last = body.partition("-")
    if first == "*":
        text = _("all")
    elif dash:
        text = _("{first} to {last}").format(first=name(first), last=name(last))
    elif step:
        text = _("{first} on").format(first=name(first))
    else:
        text = name(first)
    return _("{span} in steps of {step}").format(span=text, step=step) if step and step != "1" else text


def _day_name(text: str) -> str:
    if text.isdigit():
        return _(_DAYS[int(text)])
    return _(_DAYS[_SHORT_DAYS.index(text)]) if text in _SHORT_DAYS else text


def _month_name(text: str) -> str:
    if text.isdigit():
        return _(_MONTHS[int(text) - 1])
    return next((_(month) for month in _MONTHS if month.lower().startswith(text)), text)


def _is_list(field: str) -> bool:
    return all(part.isdigit() for part in field.split(","))


def _listed(parts: Iterable[str]) -> str:
    *most, last = parts
    return _("{most} and {last}").format(most=_(", ").join(most), last=last) if most else last
