"""What fails, grouped by task, exception and place; a group is retried or discarded as a whole."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils.translation import gettext as _

from ..operations import Store, act_on_group, bound_of, count_tasks, failures, store_of, stores
from ..operations.failures import query_of_group
from . import history
from .budgets import done_before, further, within_budget
from .deeds import DEEDS
from .telling import tell, tell_of_left
from .visits import Visit, after_of, deed_of, needs_post

#: What can be done to a group.
GROUP_DEEDS = {name: DEEDS[name] for name in ("retry", "discard")}


def show(visit: Visit) -> HttpResponse:
    known = stores()
    asked = visit.request.GET.get("backend", "")
    chosen = [store for store in known if store.alias == asked]
    return visit.render(
        "failures.html",
        _("Failures"),
        "failures",
        found=failures(of=chosen or known),
        known_stores=known,
        backend=asked if chosen else "",
    )


@needs_post
def act(visit: Visit) -> HttpResponse:
    posted = visit.request.POST
    deed = deed_of(posted, GROUP_DEEDS)
    assert deed.action is not None
    visit.require(deed.right)
    store: Store = store_of(posted.get("backend", ""))
    group = {name: posted.get(name, "") for name in ("name", "exception", "place")}
    after, so_far = after_of(posted), None
    if posted.get("confirmed"):
        progress = within_budget(act_on_group(store, deed.action, after=after, **group))
        names = dict.fromkeys(progress.took, group["name"])
        history.tasks_were(visit.request, progress.took, deed.done, names=names)
        so_far = done_before(posted) + len(progress.took)
        if progress.after is None or progress.error is not None:
            tell(visit, progress, so_far)
            progress.raise_error()
            return visit.redirect(visit.url("jobrow_failures"))
        tell_of_left(visit, progress)
        after = progress.after
    query = query_of_group(**group)
    after = after or bound_of(store, query)
    count = count_tasks(query, of=[store], after=after)
    return visit.render(
        "confirm_group.html",
        deed.label,
        "failures",
        deed=deed,
        store=store,
        group=group,
        count=count,
        after=after,
        further=None if so_far is None else further(so_far, count),
    )
