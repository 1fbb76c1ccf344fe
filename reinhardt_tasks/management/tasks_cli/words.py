"""Moments, spans, sizes and names, as people write and read them."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from ... import spans
from ...exceptions import OperationRefused
from ...jobs import Progress, TaskStatus
from ...operations import TaskView
from ...registry import registry
from ...suggestions import did_you_mean

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


def span(text: str) -> timedelta:
    """Read a span of time: 90, 90s, 15m, 2h, 7d, 1w."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(
            _("must be a span of time, as in 90s, 15m, 2h or 7d, not {text}").format(text=repr(text))
        )
    try:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2] or "s"])
    except OverflowError:
        raise argparse.ArgumentTypeError(_("is too long a span of time: {text}").format(text=text)) from None


def moment(text: str) -> datetime:
    """Read a moment: a span before now, or a date and time (of the project's time zone where it names none)."""
    return _moment(text, -1, _("must be a moment, as in 2h (ago), 7d or 2026-01-31T08:00, not {text}"))


def moment_to_come(text: str) -> datetime:
    """Read a moment: a span from now on, or a date and time."""
    return _moment(text, 1, _("must be a moment, as in 2h (from now), 7d or 2026-01-31T08:00, not {text}"))


def _moment(text: str, sign: int, problem: str) -> datetime:
    try:
        at = parse_datetime(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(_("is no moment: {text} ({exc})").format(text=repr(text), exc=exc)) from None
    if at is not None:
        return at if timezone.is_aware(at) else timezone.make_aware(at)
    try:
        return timezone.now() + sign * span(text)
    except (argparse.ArgumentTypeError, OverflowError):
        raise argparse.ArgumentTypeError(problem.format(text=repr(text))) from None


def status(text: str) -> TaskStatus:
    """Read a state, whatever the case of its letters."""
    try:
        return TaskStatus(text.upper())
    except ValueError:
        hint = did_you_mean(text.lower(), [each.lower() for each in TaskStatus])
        known = ", ".join(each.lower() for each in TaskStatus)
        raise argparse.ArgumentTypeError(
            _("is no state: {text}{hint}. There are {known}.").format(text=repr(text), hint=hint, known=known)
        ) from None


def status_words(task: TaskView) -> str:
    """Return a task's state, and what is to be known of it beside that."""
    # What has ended keeps the wish.
    if task.cancel_requested and task.status is TaskStatus.RUNNING:
        return task.status.value + _(", to be cancelled")
    return task.status.value + (_(", put back") if task.is_put_back else "")


def task_name(text: str) -> str:
    """Return the whole name of a task of which the last part was given; what is no part of one stays as it is.

    Raise OperationRefused for the last part of several.
    """
    if registry.has(text):
        return text
    ends = sorted(name for name in registry.list() if name.endswith(f".{text}"))
    if len(ends) > 1:
        words = _("Several tasks are called {name}: {names}. Give the whole name.")
        raise OperationRefused(words.format(name=repr(text), names=", ".join(ends)))
    return ends[0] if ends else text


def ago(at: datetime | None) -> str:
    """Return how long a moment is past, or to come, in one unit or two."""
    if at is None:
        return "–"
    seconds = (timezone.now() - at).total_seconds()
    return age(seconds) if seconds >= 0 else _("in {span}").format(span=age(-seconds))


def age(seconds: float | None) -> str:
    """Return a span of time in one unit or two; "–" for none."""
    if seconds is None:
        return "–"
    return spans.short(seconds)


def how_far(progress: Progress | None) -> str | None:
    """Return a task's progress, with its message; None for none."""
    if progress is None:
        return None
    share = "" if progress.percent is None else f"({progress.percent} %)"
    return " ".join(filter(None, [f"{progress.done:g} / {progress.total:g}", share, progress.message]))


def size(number: int | None) -> str:
    """Return a number of bytes in the largest unit that fits, or that it is not known."""
    # Its spaces are such as do not break, for pages.
    return _("unknown") if number is None else filesizeformat(number).replace("\xa0", " ")


def at_local(at: datetime | None) -> str:
    """Return a moment in the project's time zone."""
    return "–" if at is None else timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")
