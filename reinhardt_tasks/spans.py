"""Spans of time as people read them, in the language that is activated."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

#: Seconds of a unit, and how so many of it are written.
_UNITS = [(86_400, gettext_lazy("{n} d")), (3_600, gettext_lazy("{n} h")), (60, gettext_lazy("{n} min"))]


def short(seconds: float) -> str:
    """Return a span in its two largest units, for tables: 3 min 20 s."""
    if abs(seconds) < 1:
        return _("{n} ms").format(n=round(seconds * 1000))
    if abs(seconds) < 10:
        return _("{n} s").format(n=f"{seconds:.1f}")
    left, parts = round(abs(seconds)), []
    for unit, words in _UNITS:
        if left >= unit:
            parts.append(str(words).format(n=left // unit))
            left %= unit
        elif parts:
            break
    if len(parts) < 2 and (left or not parts):
        parts.append(_("{n} s").format(n=left))
    return " ".join(parts[:2])


def in_words(seconds: float) -> str:
    """Return a span in its largest unit, for sentences: 12 minutes."""
    number = abs(seconds)
    for unit, words in ((86_400, _days), (3_600, _hours), (60, _minutes)):
        if number >= unit:
            return words(int(number // unit))
    return _seconds(int(number))


def _days(number: int) -> str:
    return ngettext("{n} day", "{n} days", number).format(n=number)


def _hours(number: int) -> str:
    return ngettext("{n} hour", "{n} hours", number).format(n=number)


def _minutes(number: int) -> str:
    return ngettext("{n} minute", "{n} minutes", number).format(n=number)


def _seconds(number: int) -> str:
    return ngettext("{n} second", "{n} seconds", number).format(n=number)
