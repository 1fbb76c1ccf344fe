"""What is done to a whole backend: delete what finished long ago, run again what was lost, look whether what waits can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from ..exceptions import OperationRefused
from ..operations import Store, check_queue, prune, requeue_lost, requeue_unknown, store_of
from . import history
from .budgets import done_before, further, within_budget
from .fields import MomentField
from .telling import tell_of_deleted
from .visits import Visit, needs_post

#: Waiting tasks that one look at a backend reads.
LOOKED_AT = 2000


class PruneForm(forms.Form):
    before = MomentField(label=gettext_lazy("Finished before"))

    def __init__(self, data: QueryDict | None) -> None:
        super().__init__(data, auto_id="rt-%s")
        self.fields["before"].required = True


@needs_post
def act(visit: Visit) -> HttpResponse:
    posted = visit.request.POST
    deed = posted.get("deed", "")
    if deed not in DEEDS:
        raise OperationRefused(_("There is no action {name}{hint}.").format(name=repr(deed), hint=""))
    right, work = DEEDS[deed]
    visit.require(right)
    return work(visit, store_of(posted.get("backend", "")))


def check(visit: Visit) -> HttpResponse:
    """Look whether the code that runs here could run what waits."""
    store = store_of(visit.request.GET.get("backend", ""))
    *_some, found = check_queue(store, limit=LOOKED_AT)
    return visit.render("check_queue.html", _("Check waiting tasks"), "queues", store=store, found=found)


def _prune(visit: Visit, store: Store) -> HttpResponse:
    posted, so_far = visit.request.POST, None
    is_confirmed = bool(posted.get("confirmed"))
    form = PruneForm(posted if is_confirmed else None)
    if is_confirmed and form.is_valid():
        before = form.cleaned_data["before"]
        progress = within_budget(prune(store, before))
        details = {
            gettext_noop("Finished before"): f"{before:%Y-%m-%d %H:%M %Z}",
            gettext_noop("Tasks"): progress.number,
        }
        if progress.number or progress.error is None:
            history.store_was(visit.request, store.alias, gettext_noop("Finished tasks deleted."), details)
        so_far = done_before(posted) + progress.number
        if not progress.is_cut:
            tell_of_deleted(visit, so_far)
            progress.raise_error()
            return visit.redirect(visit.url("jobrow_queues"))
    return visit.render(
        "prune.html",
        _("Delete finished tasks"),
        "queues",
        store=store,
        form=form,
        further=None if so_far is None else further(so_far),
    )


def _requeue(visit: Visit, store: Store) -> HttpResponse:
    progress = within_budget(_lost_and_unknown(store))
    history.tasks_were(visit.request, progress.took, gettext_noop("Requeued."), names=progress.names)
    number = len(progress.took)
    visit.say(ngettext("{number} task runs again.", "{number} tasks run again.", number).format(number=number))
    progress.raise_error()
    if progress.is_cut:
        visit.say(_("There are more. Press the button again to go on."), messages.WARNING)
    return visit.redirect(visit.url("jobrow_queues"))


def _lost_and_unknown(store: Store) -> Iterator[Any]:
    yield from requeue_lost(store)
    yield from requeue_unknown(store)


#: Button → the right that it takes, and what does it.
DEEDS: dict[str, tuple[str, Callable[[Visit, Store], HttpResponse]]] = {
    "prune": ("discard", _prune),
    "requeue": ("retry", _requeue),
}
