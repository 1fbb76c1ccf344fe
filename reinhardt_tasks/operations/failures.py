"""What fails: the newest failed tasks, grouped by task, exception and the line of the project that raised it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..brokers.lookups import PAGE, Query, place_of_failure
from ..jobs import Job, TaskStatus
from ..redaction import without_secrets
from ..tracebacks import exception_line
from .actions import Action, Step, on_all
from .stores import STORE_ERRORS, Store, stores

#: Failed tasks that are grouped, of each store, unless a caller says otherwise.
NEWEST = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroup:
    """Tasks that failed in the same way."""

    backend: str
    name: str
    exception: str
    #: Where in the project's own code it was raised: file, line, function; '' where no traceback tells.
    place: str
    #: The line of the newest one's exception.
    message: str
    count: int
    #: The newest one.
    id: str
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroups:
    """The groups, the largest first, and how many tasks they were made of."""

    groups: Sequence[FailureGroup]
    looked_at: int
    #: There are older ones that were not looked at.
    is_cut: bool
    away: Mapping[str, str] = field(default_factory=dict)


def failures(query: Query | None = None, *, of: Sequence[Store] | None = None, newest: int = NEWEST) -> FailureGroups:
    """Return the newest failed tasks of these stores (all by default) that match, grouped."""
    groups: dict[tuple[str, str, str, str], FailureGroup] = {}
    looked_at, is_cut = 0, False
    away: dict[str, str] = {}
    asked = replace(query or Query(), statuses=(TaskStatus.FAILURE,))
    for store in stores() if of is None else of:
        after, left = None, newest
        try:
            while left > 0:
                page = store.broker.search(asked, after, min(PAGE, left))
                for job in page.jobs:
                    _add(groups, store.alias, job)
                looked_at += len(page.jobs)
                left -= len(page.jobs)
                after = page.after
                if after is None or page.is_cut:
                    break
        except STORE_ERRORS as exc:
            away[store.alias] = str(exc)
        is_cut = is_cut or after is not None
    ordered = sorted(groups.values(), key=lambda group: (-group.count, group.name, group.exception, group.place))
    return FailureGroups(groups=ordered, looked_at=looked_at, is_cut=is_cut, away=away)


def query_of_group(name: str, exception: str, place: str) -> Query:
    """Return the search that finds the tasks of one group."""
    return Query(name=name, exception=exception, place=place, statuses=(TaskStatus.FAILURE,))


def act_on_group(
    store: Store, action: Action, *, name: str, exception: str, place: str, after: str | None = None
) -> Iterator[Step]:
    """Do something to the tasks of one group, newest first; yield after each batch. See on_all()."""
    return on_all(store, action, query_of_group(name, exception, place), after=after)


def _add(groups: dict[tuple[str, str, str, str], FailureGroup], alias: str, job: Job) -> None:
    key = _key(alias, job)
    known = groups.get(key)
    if known is None:
        groups[key] = FailureGroup(
            backend=alias,
            name=job.name,
            exception=key[2],
            place=key[3],
            message=exception_line(_traceback(job))[:_LETTERS],
            count=1,
            id=job.id,
            first_at=job.finished_at,
            last_at=job.finished_at,
        )
        return
    moments = [moment for moment in (known.first_at, known.last_at, job.finished_at) if moment is not None]
    groups[key] = replace(
        known, count=known.count + 1, first_at=min(moments, default=None), last_at=max(moments, default=None)
    )


def _key(alias: str, job: Job) -> tuple[str, str, str, str]:
    return alias, job.name, job.history[-1].exception if job.history else "", place_of_failure(job)


def _traceback(job: Job) -> str:
    return without_secrets(job, job.history[-1].traceback) if job.history else ""


#: Letters of a message that are kept.
_LETTERS = 300
