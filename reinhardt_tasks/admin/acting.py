"""Doing something to tasks: to the selected ones, or to all that match; asked about first where it destroys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from .._compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY
from ..brokers.base import Changes
from ..exceptions import OperationRefused
from ..operations import Query, Store, TaskView, act, bound_of, change, count_tasks, narrowed_to, on_all, store_of, view
from ..operations.queues import known_queues
from . import history
from .budgets import Progress, done_before, further, within_budget
from .deeds import DEEDS, Deed
from .fields import MomentField
from .searching import SearchForm
from .telling import tell, tell_of_left
from .visits import Visit, after_of, deed_of, needs_post

#: Selected tasks that the page which asks first shows.
_SHOWN = 20


class ChangeForm(forms.Form):
    """Another priority, queue or time."""

    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        required=False,
        min_value=TASK_MIN_PRIORITY,
        max_value=TASK_MAX_PRIORITY,
        help_text=gettext_lazy("From -100 to 100; higher runs first. Empty: as it is."),
    )
    queue = forms.ChoiceField(label=gettext_lazy("Queue"), required=False)
    run_after = MomentField(label=gettext_lazy("Not before"))

    def __init__(self, data: QueryDict | None, store: Store) -> None:
        super().__init__(data, prefix="to", auto_id="rt-%s")
        # Where QUEUES names them, one that is not among these is no place for a task, whatever is left in it.
        queues = sorted(store.backend.queues) or known_queues(store)
        choices = [("", _("as it is")), *((queue, queue) for queue in queues)]
        self.fields["queue"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and all(cleaned.get(name) in (None, "") for name in self.fields):
            raise forms.ValidationError(_("Say what is to be changed: the priority, the queue or the time."))
        return cleaned

    @property
    def changes(self) -> Changes:
        chosen = self.cleaned_data
        return Changes(priority=chosen["priority"], queue=chosen["queue"] or None, run_after=chosen["run_after"])


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was asked for: a deed, and the tasks of one store that it is for."""

    store: Store
    deed: Deed
    ids: Sequence[str]
    #: All that match, where this is not None.
    query: Query | None
    filters: str
    #: When the question was asked: a span of time before now is one before that.
    asked_at: datetime
    after: str | None
    is_confirmed: bool
    #: The task on whose page the button was.
    origin: str


@needs_post
def act_on_tasks(visit: Visit) -> HttpResponse:
    order = _order(visit)
    visit.require(order.deed.right)
    if order.query is None and not order.ids:
        visit.say(_("Select tasks first, or choose all that match."), messages.WARNING)
        return visit.redirect(_back(visit, order))
    form = None
    if order.deed.action is None:
        form = ChangeForm(visit.request.POST if order.is_confirmed else None, order.store)
    asks = order.query is not None or order.deed.asks_first
    if asks and not order.is_confirmed or form is not None and not form.is_valid():
        return _asked(visit, order, form)
    deed = order.deed.action or (form.changes if form is not None else Changes())
    if order.query is not None:
        return _all_done(visit, order, deed, form)
    done = change(order.store, order.ids, deed) if isinstance(deed, Changes) else act(order.store, deed, order.ids)
    history.tasks_were(visit.request, done.took, order.deed.done, _changes(deed), names=done.names)
    tell(visit, Progress(took=list(done.took), left=dict(done.left)), len(done.took))
    return visit.redirect(_back(visit, order, done.took))


def _all_done(visit: Visit, order: Order, deed: Any, form: ChangeForm | None) -> HttpResponse:
    assert order.query is not None
    progress = within_budget(on_all(order.store, deed, order.query, after=order.after))
    details = _changes(deed) | _filters(visit, order)
    history.tasks_were(visit.request, progress.took, order.deed.done, details, names=progress.names)
    so_far = done_before(visit.request.POST) + len(progress.took)
    if progress.after is None or progress.error is not None:
        tell(visit, progress, so_far)
        progress.raise_error()
        return visit.redirect(_back(visit, order))
    tell_of_left(visit, progress)
    return _asked(visit, order, form, after=progress.after, so_far=so_far)


def _moment_of(posted: QueryDict) -> datetime:
    """Return when a question was asked: now, where it has yet to be. Raise Http404 for what is no moment."""
    text = posted.get("asked_at")
    if not text:
        return timezone.now()
    try:
        return datetime.fromtimestamp(abs(float(str(text))), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise Http404 from exc


def _order(visit: Visit) -> Order:
    posted = visit.request.POST
    deed = deed_of(posted, DEEDS)
    store = store_of(posted.get("backend", ""))
    filters = posted.get("filters", "")
    asked_at = _moment_of(posted)
    query = None
    if posted.get("all"):
        form = SearchForm(QueryDict(filters), store, with_arguments=visit.rights.view_arguments)
        query = form.query(asked_at)
        if query is None:
            raise OperationRefused(_("The filters are not valid: look at the list again."))
    return Order(
        store=store,
        deed=deed,
        ids=posted.getlist("ids"),
        query=query,
        filters=filters,
        asked_at=asked_at,
        after=after_of(posted),
        is_confirmed=bool(posted.get("confirmed")),
        origin=posted.get("origin", ""),
    )


def _asked(
    visit: Visit, order: Order, form: ChangeForm | None, after: str | None = None, so_far: int = 0
) -> HttpResponse:
    shown: list[TaskView] = []
    count, statuses = None, None
    begins_behind = after or order.after
    if order.query is not None:
        query = narrowed_to(order.query, order.deed.action or Changes())
        statuses = query.statuses
        begins_behind = begins_behind or bound_of(order.store, query)
        count = count_tasks(query, of=[order.store], after=begins_behind)
    else:
        jobs = order.store.broker.get(order.ids[:_SHOWN])
        shown = [view(jobs[id_]) for id_ in order.ids[:_SHOWN] if id_ in jobs]
    return visit.render(
        "confirm.html",
        order.deed.label,
        "tasks",
        order=order,
        shown=shown,
        count=count,
        statuses=statuses,
        number_left=max(0, len(order.ids) - len(shown)),
        form=form,
        after=begins_behind or "",
        further=further(so_far, count) if after else None,
        conditions=_conditions(visit, order),
        back_url=_back(visit, order),
    )


def _conditions(visit: Visit, order: Order) -> list[tuple[Any, str]]:
    """Return the filters in words, for whoever is about to do something to all that match."""
    if order.query is None:
        return []
    form = SearchForm(QueryDict(order.filters), order.store, with_arguments=visit.rights.view_arguments)
    entered = [(name, field.label) for name, field in form.fields.items() if form.data.get(name)]
    return [(label, form.meaning(name, order.query)) for name, label in entered]


def _changes(deed: Any) -> dict[str, object]:
    """Return what was changed, for the history."""
    if not isinstance(deed, Changes):
        return {}
    said = {
        gettext_noop("New priority"): deed.priority,
        gettext_noop("New queue"): deed.queue,
        gettext_noop("Not before"): deed.run_after,
    }
    return {name: value for name, value in said.items() if value is not None}


def _filters(visit: Visit, order: Order) -> dict[str, object]:
    """Return the filters, for the history; words in arguments are not for all who read that."""
    form = SearchForm(QueryDict(order.filters), order.store, with_arguments=visit.rights.view_arguments)
    found: dict[str, object] = {gettext_noop("All that match"): "", gettext_noop("State"): form.state}
    with translation.override("en"):
        for name, field in form.fields.items():
            if form.data.get(name):
                found[str(field.label)] = "…" if name == "text" else form.meaning(name, order.query)
    return found


def _back(visit: Visit, order: Order, took: Sequence[str] = ()) -> str:
    if order.origin and not (order.deed.name == "discard" and order.origin in took):
        return visit.url("jobrow_change", order.origin, query={"backend": order.store.alias})
    path = visit.url("jobrow_tasks")
    return f"{path}?{order.filters or f'backend={order.store.alias}'}"
