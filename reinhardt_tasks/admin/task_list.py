"""The list of one backend's tasks: tabs by state, filters, a page of rows, and what can be done to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _

from ..exceptions import QueueError
from ..jobs import TaskStatus
from ..operations import Listing, Store, list_tasks, stores
from ..operations.stores import STORE_ERRORS
from ..registry import registry
from . import states
from .deeds import DEEDS, Deed
from .searching import SearchForm, exactly
from .visits import Visit, after_of

#: Tasks on one page.
PAGE = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Tab:
    label: Any
    url: str
    is_current: bool
    #: None where counting would cost more the more there is.
    count: int | None = None
    is_at_least: bool = False


def chosen_store(visit: Visit, known: Sequence[Store]) -> Store | None:
    """Return the store that the address names, or else the first."""
    asked = visit.request.GET.get("backend", "")
    return next((store for store in known if store.alias == asked), known[0] if known else None)


def show(visit: Visit) -> HttpResponse:
    known = stores()
    store = chosen_store(visit, known)
    if store is None:
        return visit.render("no_store.html", _("Tasks"), "tasks")
    try:
        return _list(visit, known, store)
    except STORE_ERRORS as exc:
        return visit.away({store.alias: str(exc)}, "tasks", known_stores=known, backend=store.alias)


def _list(visit: Visit, known: Sequence[Store], store: Store) -> HttpResponse:
    form = SearchForm(visit.request.GET, store, with_arguments=visit.rights.view_arguments)
    query = form.query()
    after = after_of(visit.request.GET)
    listing = Listing(tasks=[]) if query is None else list_tasks(query, of=[store], after=after, limit=PAGE)
    if listing.away:
        raise QueueError(listing.away[store.alias])
    return visit.render(
        "task_list.html",
        _("Tasks"),
        "tasks",
        store=store,
        known_stores=known,
        form=form,
        is_asked=query is not None,
        listing=listing,
        state_tabs=_tabs(store, form),
        deeds=deeds_for(visit, form.state),
        filters=form.kept(backend=store.alias),
        next_url="?" + form.kept(backend=store.alias, after=listing.after) if listing.after else "",
        first_url="?" + form.kept(backend=store.alias) if after else "",
        candidates=[
            (name, "?" + form.kept(backend=store.alias, q=exactly(name)), registry.has(name))
            for name in form.candidates
        ],
    )


def deeds_for(visit: Visit, state: str) -> list[Deed]:
    """Return what the user may do to tasks of a tab."""
    status = states.TABS[state][1]
    return [
        deed
        for deed in DEEDS.values()
        if visit.rights.has(deed.right) and (status is None or TaskStatus(status) in deed.applies_to)
    ]


def _tabs(store: Store, form: SearchForm) -> list[Tab]:
    queue = form.data.get("queue")
    counts: dict[TaskStatus, int] = {}
    for each in store.broker.counts():
        if not queue or each.queue == queue:
            for status, number in each.counts.items():
                counts[status] = counts.get(status, 0) + number
    cut = {status for status, number in counts.items() if number >= store.broker.COUNT_LIMIT}
    failed = store.broker.failures()
    counts[TaskStatus.FAILURE] = sum(number for name, number in failed.counts.items() if not queue or name == queue)
    if failed.is_cut:
        cut.add(TaskStatus.FAILURE)
    return [
        Tab(
            label=label,
            url="?" + form.kept(backend=store.alias, state=name),
            is_current=name == form.state,
            count=_count(shown, counts),
            is_at_least=shown in cut,
        )
        for name, (label, shown) in states.TABS.items()
    ]


def _count(status: TaskStatus | None, counts: dict[TaskStatus, int]) -> int | None:
    if status in (None, TaskStatus.SUCCESS, TaskStatus.CANCELLED):
        return None
    return counts.get(status, 0)
