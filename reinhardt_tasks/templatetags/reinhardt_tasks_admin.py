"""What the admin's templates write: spans of time, states, JSON. All text is escaped by the templates."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from .. import spans
from ..cuts import beginning
from ..jobs import TaskStatus, percent_of
from ..models import STATUSES
from ..models.workflows import STEP_STATUSES, WORKFLOW_STATUSES
from ..operations.counting import counted
from ..priorities import both_scales
from ..serialization import shown_json
from ..workflow_states import ChainStatus, StepStatus

register = template.Library()

# Nothing is imported from the admin here: Django loads this file in projects that are without it too.
_LABELS: dict[str, Any] = dict([*STATUSES, *WORKFLOW_STATUSES, *STEP_STATUSES])
#: State → the end of its class in the style sheet.
_TONES: dict[str, str] = {
    TaskStatus.PENDING: "wait",
    TaskStatus.SCHEDULED: "later",
    TaskStatus.RUNNING: "run",
    TaskStatus.RETRY: "warn",
    TaskStatus.SUCCESS: "good",
    TaskStatus.FAILURE: "bad",
    TaskStatus.CANCELLED: "off",
    ChainStatus.COMPLETED: "good",
    ChainStatus.FAILED: "bad",
    StepStatus.WAITING: "later",
    StepStatus.READY: "wait",
    StepStatus.SKIPPED: "off",
}

_LEVEL_TONES = {"WARNING": "warn", "ERROR": "bad", "CRITICAL": "bad"}


@register.filter
def span(seconds: float | timedelta | None) -> str:
    """Return a span of time in its two largest units: 3 min 20 s."""
    if seconds is None:
        return "–"
    return spans.short(seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds))


@register.filter
def age(moment: datetime | None) -> str:
    """Return how long ago a moment was, or how far ahead it is."""
    if moment is None:
        return "–"
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 0:
        return _("in {span}").format(span=span(-seconds))
    return _("{span} ago").format(span=span(seconds))


register.filter(both_scales)


@register.filter
def bounded(number: int) -> str:
    """Return a number of a queue's tasks, with a + where it was counted no further."""
    return str(counted([number]))


@register.filter
def tone(status: str) -> str:
    """Return the end of a state's class in the style sheet."""
    return _TONES[status]


@register.filter
def level_tone(level: str) -> str:
    """Return the same for a level of logging; the project's own levels have that of the quiet ones."""
    return _LEVEL_TONES.get(level, "off")


@register.filter
def label(status: str) -> Any:
    return _LABELS[status]


@register.filter
def pretty(value: Any) -> str:
    """Return a value, or a JSON text, as indented JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    return shown_json(value, indent=2, default=str)


@register.filter
def short(text: Any, letters: int = 80) -> str:
    return beginning(str(text), letters)


@register.filter
def tail(path: str) -> str:
    """Return the last part of a dotted path."""
    return path.rpartition(".")[2]


@register.filter
def code(text: Any) -> str:
    """Return a sentence with what stands between backticks as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return str(text)
    shown = (format_html("<code>{}</code>", part) if number % 2 else part for number, part in enumerate(parts))
    return format_html_join("", "{}", ((part,) for part in shown))


@register.filter
def message(line: str) -> str:
    """Return what an exception says on its line, without its class."""
    return line.partition(": ")[2]


@register.filter
def anchor(alias: str, queue: str) -> str:
    """Return the place of a queue on the page of queues, for the end of its address."""
    return "-".join(["rt-queue", *(quote(part, safe="").replace("%", "_") for part in (alias, queue))])


@register.filter
def place(lane: str) -> str:
    """Return what an entry of the history is about that is kept by a queue's lane: a queue, or all of a backend."""
    return lane.removesuffix(":")


@register.filter
def percent(progress: tuple[float, float] | None) -> int | None:
    """Return how far a task is, 0 to 100; None where its total tells nothing."""
    return percent_of(progress) if progress else None
