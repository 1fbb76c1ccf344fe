"""What each worker runs just now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..brokers.lookups import Query
from ..jobs import TaskStatus
from .finding import list_tasks
from .stores import Store, stores
from .views import TaskView
from .workers import WorkerView, workers

#: Running tasks of one store that are shown.
SHOWN = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerAtWork:
    """A worker, and the newest of the tasks that it runs."""

    worker: WorkerView
    tasks: Sequence[TaskView] = ()

    @property
    def number_left(self) -> int:
        """How many more it runs."""
        return max(0, self.worker.running - len(self.tasks))


@dataclass(frozen=True, kw_only=True, slots=True)
class AtWork:
    """The workers with their tasks, and the stores that could not be asked: alias → why."""

    workers: Sequence[WorkerAtWork]
    away: Mapping[str, str] = field(default_factory=dict)


def at_work(*, of: Sequence[Store] | None = None) -> AtWork:
    """Return the workers of these stores (all by default), each with what it runs: of the newest 200 that a store runs."""
    known = stores() if of is None else of
    found = workers(of=known)
    running: dict[tuple[str, str], list[TaskView]] = {}
    away = dict(found.away)
    for store in known:
        if store.alias in found.away:
            continue
        listing = list_tasks(Query(statuses=(TaskStatus.RUNNING,)), of=[store], limit=SHOWN)
        away |= listing.away
        for task in listing.tasks:
            running.setdefault((store.alias, task.worker or ""), []).append(task)
    return AtWork(
        workers=[
            WorkerAtWork(worker=worker, tasks=running.get((worker.backend, worker.id), ())) for worker in found.workers
        ],
        away=away,
    )
