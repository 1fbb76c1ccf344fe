"""Tasks that wait for something that will not come by itself: a worker that died, a name that was not known."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator

from .. import followers
from ..bare_outcomes import lost_outcome
from ..brokers.base import WorkerInfo
from ..brokers.lookups import Query
from ..exception_text import class_path
from ..exceptions import TaskNotFound
from ..jobs import TaskStatus, new_id
from ..registry import registry
from ..unknown_names import is_put_back
from .actions import RETRY, RUN_NOW, Done, Step, act
from .stores import Store

logger = logging.getLogger("reinhardt_tasks")

_AT_ONCE = 200

#: Walk over tasks of a store → which ones, and what is done to those of them whose name is known by now; in this order.
_WALKS = {
    "failed": (Query(statuses=(TaskStatus.FAILURE,), exception=class_path(TaskNotFound)), RETRY),
    "put-back": (Query(statuses=(TaskStatus.SCHEDULED,)), RUN_NOW),
}


def requeue_lost(store: Store) -> Iterator[Done]:
    """Take over what dead workers held, and have it run again or fail, by the rule that workers follow; yield each batch.

    Living workers do this by themselves within seconds: it is for a backend that has none.
    """
    host, pid = socket.gethostname(), os.getpid()
    worker = WorkerInfo(id=f"people@{host[:80]}:{pid}:{new_id()[-12:]}", name="people", host=host, pid=pid, lease=60.0)
    try:
        while claims := store.broker.rescue(_AT_ONCE, worker):
            outcomes = followers.all_ended([lost_outcome(claim, store.backend.settings) for claim in claims])
            gone = {claim.job.id for claim in store.broker.settle(outcomes)}
            names = {claim.job.id: claim.job.name for claim in claims if claim.job.id not in gone}
            yield Done(took=list(names), names=names)
    finally:
        store.broker.leave(worker)


def requeue_unknown(store: Store, *, after: str | None = None) -> Iterator[Step]:
    """Retry what failed since nobody knew its name, and run what is put back for that, where the name is known by now.

    Whoever stops goes on later with `after` of the last step: a walk, and the id behind which that goes on.
    """
    begins, _, id_ = (after or "").partition(" ")
    walks = list(_WALKS)
    for walk in walks[walks.index(begins) if begins in walks else 0 :]:
        query, action = _WALKS[walk]
        following = walks[walks.index(walk) + 1 :]
        place = id_ if walk == begins and id_ else None
        while True:
            page = store.broker.search(query, place, _AT_ONCE)
            ids = [job.id for job in page.jobs if registry.has(job.name) and (action is RETRY or is_put_back(job))]
            place = page.after
            ends = f"{walk} {place}" if place is not None else next(iter(following), None)
            yield Step(done=act(store, action, ids) if ids else Done(), after=ends)
            if place is None:
                break
