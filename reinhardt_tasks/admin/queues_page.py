"""The queues of every backend: pause, resume, clear."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..operations import Store, bound_of, clear, count_waiting, held_back, overview, pause, resume, store_of
from ..operations.queues import waiting_in
from . import history
from .budgets import done_before, further, within_budget
from .telling import tell_of_deleted, tell_of_left
from .visits import Visit, after_of, deed_of, needs_post


def show(visit: Visit) -> HttpResponse:
    stores = [store for store in overview() if store.keeps_tasks]
    return visit.render(
        "queues.html",
        _("Queues"),
        "queues",
        stores=stores,
        # Keys may be made of arguments.
        held_back=held_back().lines if visit.rights.view_arguments else (),
        history=history.of_queues(),
    )


@needs_post
def act(visit: Visit) -> HttpResponse:
    posted = visit.request.POST
    right, work = deed_of(posted, DEEDS)
    visit.require(right)
    return work(visit, store_of(posted.get("backend", "")), posted.get("queue", ""))


def _pause(visit: Visit, store: Store, queue: str) -> HttpResponse:
    pause(store, queue)
    history.queue_was(visit.request, store.alias, queue, gettext_noop("Paused."))
    visit.say(_("Queue {queue} is paused: what runs goes on, nothing more begins.").format(queue=queue))
    return visit.redirect(visit.url("jobrow_queues"))


def _resume(visit: Visit, store: Store, queue: str) -> HttpResponse:
    resume(store, queue)
    history.queue_was(visit.request, store.alias, queue, gettext_noop("Resumed."))
    visit.say(_("Queue {queue} goes on.").format(queue=queue))
    return visit.redirect(visit.url("jobrow_queues"))


def _clear(visit: Visit, store: Store, queue: str) -> HttpResponse:
    posted = visit.request.POST
    so_far = None
    after = after_of(posted)
    if posted.get("confirmed"):
        progress = within_budget(clear(store, queue, after=after))
        number = len(progress.took)
        if number or progress.error is None:
            details = {gettext_noop("Tasks"): number}
            history.queue_was(visit.request, store.alias, queue, gettext_noop("Cleared."), details)
        so_far = done_before(posted) + number
        tell_of_left(visit, progress)
        if progress.after is None or progress.error is not None:
            if so_far or progress.error is None:
                tell_of_deleted(visit, so_far)
            progress.raise_error()
            return visit.redirect(visit.url("jobrow_queues"))
        after = progress.after
    after = after or bound_of(store, waiting_in(queue))
    found = next((each for each in overview(only=[store.alias])[0].queues if each.queue == queue), None)
    return visit.render(
        "clear_queue.html",
        _("Clear a queue"),
        "queues",
        store=store,
        queue=queue,
        numbers=found,
        after=after,
        further=None if so_far is None else further(so_far, count_waiting(store, [queue])),
    )


#: Button → the right that it takes, and what does it.
DEEDS: dict[str, tuple[str, Callable[[Visit, Store, str], HttpResponse]]] = {
    "pause": ("pause_queue", _pause),
    "resume": ("pause_queue", _resume),
    "clear": ("clear_queue", _clear),
}
