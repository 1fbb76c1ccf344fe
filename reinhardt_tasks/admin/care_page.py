"""What is done to a whole backend: delete what finished long ago, run again what was lost, look whether what waits can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from django import forms
from django.http import HttpResponse, QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from ..jobs import TaskStatus
from ..operations import Query, Step, Store, check_queue, count_tasks, prune, requeue_lost, requeue_unknown, store_of
from . import history
from .budgets import done_before, further, within_budget
from .fields import MomentField
from .telling import tell_of_deleted
from .visits import Visit, after_of, deed_of, needs_post

_FINISHED = tuple(status for status in TaskStatus if status.is_finished)
#: The place at which lost tasks are not done yet.
_LOST = "lost"

#: Waiting tasks that one look at a backend reads.
LOOKED_AT = 2000


class PruneForm(forms.Form):
    before = MomentField(label=gettext_lazy("Finished before"))

    def __init__(self, data: QueryDict | None) -> None:
        super().__init__(data, auto_id="rt-%s")
        self.fields["before"].required = True

    def clean_before(self) -> datetime:
        before: datetime = self.cleaned_data["before"]
        if before > timezone.now():
            raise forms.ValidationError(_("This is yet to come: tasks would be deleted as they end."))
        return before


@needs_post
def act(visit: Visit) -> HttpResponse:
    posted = visit.request.POST
    right, work = deed_of(posted, DEEDS)
    visit.require(right)
    return work(visit, store_of(posted.get("backend", "")))


def check(visit: Visit) -> HttpResponse:
    """Look whether the code that runs here could run what waits."""
    store = store_of(visit.request.GET.get("backend", ""))
    *_some, found = check_queue(store, limit=LOOKED_AT)
    return visit.render("check_queue.html", _("Check waiting tasks"), "queues", store=store, found=found)


def _prune(visit: Visit, store: Store) -> HttpResponse:
    posted = visit.request.POST
    form = PruneForm(posted if "before" in posted else None)
    count = so_far = None
    if form.is_valid():
        before = form.cleaned_data["before"]
        if posted.get("confirmed"):
            progress = within_budget(prune(store, before))
            details = {
                gettext_noop("Finished before"): f"{before:%Y-%m-%d %H:%M %Z}",
                gettext_noop("Tasks"): progress.number,
            }
            if progress.number or progress.error is None:
                history.store_was(visit.request, store.alias, gettext_noop("Finished tasks deleted."), details)
            so_far = done_before(posted) + progress.number
            if not progress.is_cut:
                if so_far or progress.error is None:
                    tell_of_deleted(visit, so_far)
                progress.raise_error()
                return visit.redirect(visit.url("jobrow_queues"))
        count = count_tasks(Query(statuses=_FINISHED, finished_until=before), of=[store])
    return visit.render(
        "prune.html",
        _("Delete finished tasks"),
        "queues",
        store=store,
        form=form,
        count=count,
        further=None if so_far is None else further(so_far, count),
    )


def _requeue(visit: Visit, store: Store) -> HttpResponse:
    posted = visit.request.POST
    place = " ".join(filter(None, [posted.get("walk"), after_of(posted)]))
    progress = within_budget(_lost_and_unknown(store, place))
    history.tasks_were(visit.request, progress.took, gettext_noop("Requeued."), names=progress.names)
    number = done_before(posted) + len(progress.took)
    if progress.after is None or progress.error is not None:
        if number or progress.error is None:
            words = ngettext("{number} task runs again.", "{number} tasks run again.", number)
            visit.say(words.format(number=f"{number:,}"))
        progress.raise_error()
        return visit.redirect(visit.url("jobrow_queues"))
    walk, _space, after = progress.after.partition(" ")
    return visit.render(
        "requeue.html",
        _("Requeue lost tasks"),
        "queues",
        store=store,
        walk=walk,
        after=after,
        further=further(number),
    )


def _lost_and_unknown(store: Store, place: str) -> Iterator[Step]:
    """Do what is left behind a place that a step of this has told; all, where it is ''."""
    if place in ("", _LOST):
        for done in requeue_lost(store):
            yield Step(done=done, after=_LOST)
        place = ""
    yield from requeue_unknown(store, after=place)


#: Button → the right that it takes, and what does it.
DEEDS: dict[str, tuple[str, Callable[[Visit, Store], HttpResponse]]] = {
    "prune": ("discard", _prune),
    "requeue": ("retry", _requeue),
}
