"""How many tasks match, up to a bound, and which is the newest: for whoever is about to do something to all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..brokers.base import Broker
from ..brokers.lookups import FIRST_ID, LAST_ID, PAGE, Query
from ..jobs import dashed
from .stores import STORE_ERRORS, Store, stores

#: Tasks that are counted, of each store.
COUNTED = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """A number of tasks, and whether there may be more than were counted."""

    number: int
    is_at_least: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.is_at_least else ''}"


def count_tasks(
    query: Query, *, of: Sequence[Store] | None = None, after: str | None = None, limit: int | None = None
) -> Count:
    """Return how many tasks of these stores (all by default) match; `limit` and `after` as for on_all().

    Of each store COUNTED are counted at most, by as many searches as that takes, each with its own bound. A store that is
    away makes it "at least".
    """
    number, is_at_least = 0, False
    if query.statuses == ():
        return Count(number=0)
    most = COUNTED if limit is None else min(limit, COUNTED)
    for store in stores() if of is None else of:
        try:
            its, is_cut = _count(store, query, after, most)
        except STORE_ERRORS:
            its, is_cut = 0, True
        number += its
        # Those behind the limit are not meant.
        is_at_least = is_at_least or is_cut and its != limit
    return Count(number=number, is_at_least=is_at_least)


def bound_of(store: Store, query: Query, after: str | None = None) -> str:
    """Return what on_all() takes for `after` to begin at the task that is the newest to match now, whenever it begins.

    For a question to a person: what is enqueued before it is answered is left alone.
    """
    if query.statuses == ():
        return after or dashed(FIRST_ID)
    page = store.broker.search(query, after, 1)
    if page.jobs:
        return _behind(page.jobs[0].id)
    # None, or none that is newer than where the search ended.
    return page.after or dashed(FIRST_ID)


def count_waiting(store: Store, queues: Collection[str]) -> Count:
    """Return how many tasks wait in some queues, from the numbers that the store has of each of its queues."""
    numbers = [
        number
        for each in store.broker.counts()
        if each.queue in queues
        for status, number in each.counts.items()
        if status.is_waiting
    ]
    return counted(numbers, store.broker.COUNT_LIMIT)


def counted(numbers: Iterable[int], limit: int | None = None) -> Count:
    """Return the sum of what a store tells of its queues' tasks: it counts each number up to `limit`, Broker.COUNT_LIMIT."""
    found = list(numbers)
    most = Broker.COUNT_LIMIT if limit is None else limit
    return Count(number=sum(found), is_at_least=any(number >= most for number in found))


def _behind(id_: str) -> str:
    """Return the id that comes right after this one, as on_all() leaves out the one that it is given."""
    return dashed(f"{min(int(id_.replace('-', ''), 16) + 1, int(LAST_ID, 16)):032x}")


def _count(store: Store, query: Query, after: str | None, most: int) -> tuple[int, bool]:
    number = 0
    while number < most:
        page = store.broker.search(query, after, min(PAGE, most - number))
        number += len(page.jobs)
        after = page.after
        if after is None or page.is_cut:
            return number, after is not None
    # A full page may have been the last one.
    return number, bool(store.broker.search(query, after, 1).jobs)
