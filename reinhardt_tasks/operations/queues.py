"""What is done to whole queues: pause, resume, clear, and the pruning of what has finished."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from django.utils.translation import gettext as _

from ..brokers.lookups import Query
from ..exceptions import OperationRefused
from ..jobs import WAITING
from ..queues import is_queue_name
from ..suggestions import did_you_mean
from .actions import DISCARD, Step, on_all
from .stores import Store

logger = logging.getLogger("reinhardt_tasks")

#: Finished tasks that one statement deletes.
PRUNED_AT_ONCE = 1000


def pause(store: Store, queue: str) -> None:
    """Let nothing more of a queue begin; what runs goes on. Raise OperationRefused for a queue that there cannot be."""
    check_queue_name(store, queue)
    store.broker.pause(queue)
    logger.info("Queue paused by hand: backend=%s queue=%s", store.alias, queue)


def resume(store: Store, queue: str) -> None:
    """Let a queue's tasks begin again."""
    check_queue_name(store, queue)
    store.broker.resume(queue)
    logger.info("Queue resumed by hand: backend=%s queue=%s", store.alias, queue)


def clear(store: Store, queue: str, *, after: str | None = None) -> Iterator[Step]:
    """Delete all that waits in a queue, batch by batch; what runs goes on, what has finished stays."""
    check_queue_name(store, queue)
    yield from on_all(store, DISCARD, waiting_in(queue), after=after)


def waiting_in(queue: str) -> Query:
    """Return the search for all that waits in a queue."""
    return Query(queue=queue, statuses=WAITING)


def prune(store: Store, before: datetime) -> Iterator[int]:
    """Delete what finished before a moment; yield after each batch how many it had. What ends meanwhile stays."""
    before = min(before, datetime.now(UTC))
    while number := store.broker.prune(before, PRUNED_AT_ONCE):
        logger.info("Finished tasks pruned by hand: backend=%s count=%d", store.alias, number)
        yield number


def known_queues(store: Store) -> list[str]:
    """Return the queues that a store's settings name, and those that have or had something."""
    return sorted({*store.backend.queues, *(counts.queue for counts in store.broker.counts())})


def check_queue_name(store: Store, queue: str) -> None:
    named = store.backend.queues
    if queue in named or not named and is_queue_name(queue):
        return
    known = known_queues(store)
    if queue in known:
        return
    raise OperationRefused(
        _("TASKS[{alias}] has no queue {queue}{hint}; it has {known}.").format(
            alias=repr(store.alias),
            queue=repr(queue),
            hint=did_you_mean(queue, known),
            known=", ".join(map(repr, known)),
        )
    )
