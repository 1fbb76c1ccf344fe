"""What limits hold back, and why: the lines before full ones, and the one in which a task stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _

from .. import spans
from ..brokers.base import Line
from ..gates import Limit
from .stores import STORE_ERRORS, Store, stores
from .views import TaskView

#: Lines of one store that are told.
LINES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class LineView:
    """A limit before which tasks wait."""

    backend: str
    key: str
    #: So many at once; of a rate, so many at once after a pause.
    size: int
    #: Seconds between two starts; None for a limit of concurrency.
    every: float | None
    held: int
    waiting: int
    #: When a rate lets the next one begin.
    opens_at: datetime | None

    @property
    def rule(self) -> str:
        """What the limit allows, in words."""
        return rule_in_words(Limit(key=self.key, size=self.size, every=round((self.every or 0) * 1_000_000)))


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldBack:
    """The lines, and the stores that could not be asked: alias → why."""

    lines: Sequence[LineView]
    away: Mapping[str, str] = field(default_factory=dict)


def held_back(*, of: Sequence[Store] | None = None) -> HeldBack:
    """Return the lines of these stores (all by default), the longest of each first."""
    found: list[LineView] = []
    away: dict[str, str] = {}
    for store in stores() if of is None else of:
        try:
            found += [_view(store.alias, line) for line in store.broker.lines(LINES)]
        except STORE_ERRORS as exc:
            away[store.alias] = str(exc)
    return HeldBack(lines=found, away=away)


def held_back_by(store: Store, task: TaskView) -> LineView | None:
    """Return the limit that holds a task back; None for one that waits for none, or whose limits are not to be seen."""
    if not task.limits or not task.status.is_waiting:
        return None
    line = store.broker.line_of(task.id)
    return None if line is None else _view(store.alias, line)


def rule_in_words(limit: Limit) -> str:
    """Return what a limit allows."""
    if not limit.every:
        return _("at most {number} at once").format(number=limit.size)
    span = spans.short(limit.every / 1_000_000)
    if limit.size == 1:
        return _("one each {span}").format(span=span)
    return _("one each {span}, {number} at once after a pause").format(span=span, number=limit.size)


def _view(alias: str, line: Line) -> LineView:
    return LineView(
        backend=alias,
        key=line.limit.key,
        size=line.limit.size,
        every=line.limit.every / 1_000_000 if line.limit.every else None,
        held=line.held,
        waiting=line.waiting,
        opens_at=line.opens_at,
    )
