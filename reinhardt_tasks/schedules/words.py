"""A cron expression in plain English. Where it has no plain form the fields are told one by one, and never wrongly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_ORDINALS = ("", "first", "second", "third", "fourth", "fifth")
#: Times of the day that are told one by one; of more it is said how they come about.
_FEW = 6


def in_words(fields: list[str]) -> str:
    """Return the sentence for five fields, or six with the second first, all of them in small letters and valid."""
    second, minute, hour, day, month, weekday = fields if len(fields) == 6 else ["0", *fields]
    few = _times_of_day(second, minute, hour)
    times = few or _times(second, minute, hour)
    return " ".join(filter(None, [times, _days(day, weekday, is_daily=bool(few)), _months(month)]))


def _times_of_day(second: str, minute: str, hour: str) -> str:
    """Return the times of the day, where they are few; else nothing."""
    if not all(_is_list(field) for field in (second, minute, hour)):
        return ""
    moments = sorted(
        (int(h), int(m), int(s)) for h in hour.split(",") for m in minute.split(",") for s in second.split(",")
    )
    if len(moments) > _FEW:
        return ""
    return f"at {_listed(f'{h:02}:{m:02}' + (f':{s:02}' if second != '0' else '') for h, m, s in moments)}"


def _times(second: str, minute: str, hour: str) -> str:
    parts = []
    if second != "0":
        parts.append(_every("second", second))
    if minute != "*" or second == "0":
        parts.append(_every("minute", minute))
    if hour != "*" or _is_list(minute):
        parts.append(_every("hour", hour))
    return ", ".join(parts)


def _every(name: str, field: str) -> str:
    if field == "*":
        return f"every {name}"
    if step := re.fullmatch(r"\*/(\d+)", field):
        return f"every {name}" if step[1] == "1" else f"every {step[1]} {name}s"
    return f"at {name} {_listed(_span(part) for part in field.split(','))}"


def _days(day: str, weekday: str, *, is_daily: bool) -> str:
    on_day = "" if day in ("*", "?") else _day_of_month(day)
    on_weekday = "" if weekday in ("*", "?") else f"on {_listed(_weekday(part) for part in weekday.split(','))}"
    if on_day and on_weekday:
        return f"{on_day} and also {on_weekday}"
    return on_day or on_weekday or ("every day" if is_daily else "")


def _day_of_month(field: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", field):
        return "every day" if step[1] == "1" else f"on day 1 of the month and every {step[1]} days from there"
    parts = []
    for part in field.split(","):
        near = re.fullmatch(r"w?(\d+)w?", part)
        if part == "l":
            parts.append("the last day")
        elif near and "w" in part:
            parts.append(f"the weekday nearest to day {near[1]}")
        else:
            parts.append(f"day {_span(part)}")
    return f"on {_listed(parts)} of the month"


def _weekday(part: str) -> str:
    if last := re.fullmatch(r"l(\d)", part):
        return f"the last {_day_name(last[1])} of the month"
    if nth := re.fullmatch(r"(\w+)#(\d)", part):
        return f"the {_ORDINALS[int(nth[2])]} {_day_name(nth[1])} of the month"
    return _span(part, _day_name)


def _months(field: str) -> str:
    return "" if field == "*" else f"in {_listed(_span(part, _month_name) for part in field.split(','))}"


def _span(part: str, name: Callable[[str], str] = str) -> str:
    """Return one item of a list: a value, a range, either with a step."""
    body, _, step = part.partition("/")
    first, dash, last = body.partition("-")
    text = "all" if first == "*" else f"{name(first)} to {name(last)}" if dash else name(first)
    if step and not dash and first != "*":
        text = f"{text} on"
    return f"{text} in steps of {step}" if step and step != "1" else text


def _day_name(text: str) -> str:
    return _DAYS[int(text)] if text.isdigit() else _DAYS[_SHORT_DAYS.index(text)] if text in _SHORT_DAYS else text


def _month_name(text: str) -> str:
    if text.isdigit():
        return _MONTHS[int(text) - 1]
    return next((month for month in _MONTHS if month.lower().startswith(text)), text)


def _is_list(field: str) -> bool:
    return all(part.isdigit() for part in field.split(","))


def _listed(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
