"""Finding tasks over all stores: pages of them, one by its id or the beginning of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from ..brokers.lookups import Page, Query, merged
from ..exceptions import OperationRefused, TaskNotFound
from ..jobs import Job
from .stores import STORE_ERRORS, Store, stores
from .views import TaskView, view


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A page of tasks, newest first."""

    tasks: Sequence[TaskView]
    #: Give this for `after` to go on; None: there is nothing more.
    after: str | None = None
    #: The bound on what one call looks at was reached before the page was full.
    is_cut: bool = False
    #: Stores that could not be asked: alias → why.
    away: Mapping[str, str] = field(default_factory=dict)


def list_tasks(
    query: Query, *, of: Sequence[Store] | None = None, after: str | None = None, limit: int = 100
) -> Listing:
    """Return tasks of these stores (all by default) that match, and which stores could not be asked."""
    pages: list[Page] = []
    away: dict[str, str] = {}
    if query.statuses == ():
        return Listing(tasks=[])
    for store in stores() if of is None else of:
        try:
            pages.append(store.broker.search(query, after, limit))
        except STORE_ERRORS as exc:
            away[store.alias] = str(exc)
    page = merged(pages, limit)
    return Listing(tasks=[view(job) for job in page.jobs], after=page.after, is_cut=page.is_cut, away=away)


def find_task(id_: str, *, of: Sequence[Store] | None = None) -> tuple[Store, Job]:
    """Return the one task whose id is, or begins with, `id_`, and its store.

    Raise TaskNotFound where there is none, OperationRefused where there are several, QueueError where a store that may
    have it is away.
    """
    found: dict[str, tuple[Store, Job]] = {}
    missing: Exception | None = None
    for store in stores() if of is None else of:
        try:
            for job in store.broker.search(Query(id_prefix=id_), limit=_NAMED).jobs:
                found.setdefault(job.id, (store, job))
        except STORE_ERRORS as exc:
            missing = exc
    exact = [
        _whole(*pair) for known, pair in found.items() if known.replace("-", "") == id_.strip().lower().replace("-", "")
    ]
    if exact:
        return exact[0]
    if missing is not None:
        raise missing
    if not found:
        raise TaskNotFound(_("No task has an id that begins with {id}.").format(id=repr(id_)))
    if len(found) > 1:
        some = ", ".join(sorted(found)[: _NAMED - 1])
        raise OperationRefused(
            _("Several tasks have an id that begins with {id}: {some}.").format(id=repr(id_), some=some)
        )
    (pair,) = found.values()
    return _whole(*pair)


def _whole(store: Store, job: Job) -> tuple[Store, Job]:
    """Return what a search has found with all that is kept of it."""
    return store, store.broker.get([job.id]).get(job.id, job)


def task_view(id_: str, *, of: Sequence[Store] | None = None) -> TaskView:
    """Return one task as people see it; see find_task() for what it raises."""
    return view(find_task(id_, of=of)[1])


#: Ids that an ambiguous beginning is answered with, and one.
_NAMED = 6
