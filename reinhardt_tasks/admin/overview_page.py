"""The overview: each backend's queues, how much was done in the last hour, who works, and what to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..operations import Alert, Count, Query, StoreOverview, counted, list_tasks, overview, store_of, throughput
from ..operations.overview import COUNTED
from ..operations.stores import STORE_ERRORS
from .charts import Chart, chart_of
from .visits import Visit

#: Alerts about schedules → what is said of these to who may not see them.
_UNNAMED = {
    "no_scheduler": gettext_lazy("There are schedules that nobody fires. You may not see which."),
    "broken_schedule": gettext_lazy("There are schedules that an error has switched off. You may not see which."),
}


@dataclass(frozen=True, kw_only=True)
class StoreShown:
    """One backend on the page."""

    store: StoreOverview
    chart: Chart | None = None

    @property
    def totals(self) -> dict[str, Count]:
        found = {name: counted(getattr(queue, name) for queue in self.store.queues) for name in COUNTED}
        failed = sum(queue.failed for queue in self.store.queues)
        return {**found, "failed": Count(number=failed, is_at_least=self.store.failed_is_cut)}

    @property
    def oldest(self) -> float | None:
        """Seconds for which the oldest pending task of all queues has waited."""
        return max((queue.oldest_age for queue in self.store.queues if queue.oldest_age is not None), default=None)


def show(visit: Visit) -> HttpResponse:
    context = _context(may_see_schedules=visit.may_see("schedulerow_changelist"))
    if visit.wants_part:
        return visit.part("_overview.html", **context)
    return visit.render("overview.html", _("Background tasks"), "overview", **context)


def _context(*, may_see_schedules: bool) -> dict[str, Any]:
    found = [_shown(store) for store in overview()]
    kept = [each for each in found if each.store.keeps_tasks]
    return {
        "stores": kept,
        "is_new": bool(kept) and all(_is_unused(each) for each in kept),
        "living": sum(len(each.store.living) for each in kept),
        "others": [each.store for each in found if not each.store.keeps_tasks],
        "alerts": [alert for each in found for alert in _alerts(each.store.alerts, may_see_schedules)],
        "may_see_schedules": may_see_schedules,
        "now": timezone.now(),
    }


def _alerts(alerts: Sequence[Alert], may_see_schedules: bool) -> Iterator[Alert]:
    """Yield what somebody should look at; of the schedules, for who may not see them, a sentence that names none."""
    told = set()
    for alert in alerts:
        if alert.code not in _UNNAMED or may_see_schedules:
            yield alert
        elif alert.code not in told:
            told.add(alert.code)
            yield replace(alert, message=str(_UNNAMED[alert.code]))


def _is_unused(shown: StoreShown) -> bool:
    """Return whether a backend has no task at all, and never had one that it still knows."""
    if (
        shown.store.error
        or any(each.number for each in shown.totals.values())
        or shown.chart is None
        or shown.chart.whole.ended
    ):
        return False
    listing = list_tasks(Query(), of=[store_of(shown.store.alias)], limit=1)
    return not listing.tasks and not listing.away


def _shown(store: StoreOverview) -> StoreShown:
    if store.error or not store.keeps_tasks:
        return StoreShown(store=store)
    try:
        numbers = throughput(store_of(store.alias))
    except STORE_ERRORS:
        # It went away between two questions; the next look will say so.
        return StoreShown(store=store)
    return StoreShown(store=store, chart=chart_of(numbers))
