"""The workers of every backend: how they are, and what each of them runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ..jobs import TaskStatus
from ..operations import Query, Store, TaskView, WorkerView, list_tasks, stores, workers
from .visits import Visit

#: Running tasks of one store that are shown.
_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class WorkerShown:
    worker: WorkerView
    tasks: Sequence[TaskView]

    @property
    def number_left(self) -> int:
        return max(0, self.worker.running - len(self.tasks))


def show(visit: Visit) -> HttpResponse:
    context = _context()
    if visit.wants_part:
        return visit.part("_workers.html", **context)
    return visit.render("workers.html", _("Workers"), "workers", **context)


def _context() -> dict[str, Any]:
    known = stores()
    found = workers(of=known)
    running = {store.alias: _running(store) for store in known if store.alias not in found.away}
    shown = [
        WorkerShown(worker=worker, tasks=running.get(worker.backend, {}).get(worker.id, ())) for worker in found.workers
    ]
    return {"workers": shown, "away": found.away, "now": timezone.now()}


def _running(store: Store) -> dict[str, list[TaskView]]:
    """Return the newest running tasks of a store by their worker."""
    tasks: dict[str, list[TaskView]] = {}
    for task in list_tasks(Query(statuses=(TaskStatus.RUNNING,)), of=[store], limit=_SHOWN).tasks:
        tasks.setdefault(task.worker or "", []).append(task)
    return tasks
