"""All stores at a glance: each queue's numbers, the workers, and what somebody should look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .._compat import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from ..aliases import what_breaks
from ..backends.base import ReinhardtBackend
from ..brokers.base import Broker
from ..exceptions import OperationRefused
from ..jobs import TaskStatus
from .alerts import MAX_OLDEST, Alert, alerts_of, away_alert, unsent_alert
from .scheduler_alerts import scheduler_alerts
from .stores import STORE_ERRORS, Store, aliases, store_of
from .workers import WorkerView, workers_of

#: The numbers of a queue that its store counts up to Broker.COUNT_LIMIT.
COUNTED = ("ready", "running", "scheduled", "retrying")


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueOverview:
    """One queue. The numbers are counted up to Broker.COUNT_LIMIT; `failed` among the newest that ended badly."""

    queue: str
    ready: int = 0
    running: int = 0
    scheduled: int = 0
    retrying: int = 0
    failed: int = 0
    #: Seconds for which its oldest ready task has waited.
    oldest_age: float | None = None
    is_paused: bool = False

    @property
    def at_least(self) -> list[str]:
        """The names of the numbers that were counted no further: there may be more."""
        return [name for name in COUNTED if getattr(self, name) >= Broker.COUNT_LIMIT]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreOverview:
    """One alias of TASKS. `error` says why there is nothing else, where it is not ''."""

    alias: str
    #: The name of the backend's class.
    kind: str
    place: str = ""
    #: False for a backend that keeps no tasks: Dummy, Immediate, or somebody else's.
    keeps_tasks: bool = True
    error: str = ""
    queues: Sequence[QueueOverview] = ()
    workers: Sequence[WorkerView] = ()
    #: `failed` is "at least": more ended badly than were looked at.
    failed_is_cut: bool = False
    alerts: Sequence[Alert] = ()

    @property
    def living(self) -> Sequence[WorkerView]:
        return [worker for worker in self.workers if worker.is_alive]

    @property
    def slots(self) -> int:
        """Tasks that the living workers can run at one time."""
        return sum(worker.slots for worker in self.living)

    @property
    def slots_busy(self) -> int:
        return sum(worker.running for worker in self.living)

    @property
    def memory(self) -> int | None:
        """Bytes of all living workers; None where there is none, or one does not tell."""
        told = [worker.memory for worker in self.living if worker.memory is not None]
        return sum(told) if told and len(told) == len(self.living) else None


def overview(*, only: Sequence[str] | None = None, max_oldest: float = MAX_OLDEST) -> list[StoreOverview]:
    """Return every alias of TASKS, or those named. A store that is away is told as such, and harms no other."""
    found = [_overview(alias, max_oldest) for alias in (aliases() if only is None else only)]
    return [_with_schedules(store) if store.alias == DEFAULT_TASK_BACKEND_ALIAS else store for store in found]


def _overview(alias: str, max_oldest: float) -> StoreOverview:
    kind = _kind(alias)
    try:
        store = store_of(alias)
    except OperationRefused as exc:
        if alias not in aliases():
            raise
        return StoreOverview(alias=alias, kind=kind, keeps_tasks=_is_faulty(alias), error=str(exc))
    try:
        queues, living, is_cut = _asked(store)
        place = store.broker.traits.place
        unsent = store.backend.unsent()
    except STORE_ERRORS as exc:
        return StoreOverview(alias=alias, kind=kind, error=str(exc), alerts=[away_alert(alias, str(exc))])
    return StoreOverview(
        alias=alias,
        kind=kind,
        place=place,
        queues=queues,
        workers=living,
        failed_is_cut=is_cut,
        alerts=alerts_of(alias, queues, living, max_oldest) + ([unsent_alert(alias, unsent)] if unsent else []),
    )


def _with_schedules(store: StoreOverview) -> StoreOverview:
    """Return the overview of the backend by which the schedules lie with what is to be looked at about these."""
    if store.error and store.keeps_tasks:
        # It is away, or its settings are wrong, and nothing is known before that is mended.
        return store
    return replace(store, alerts=[*store.alerts, *scheduler_alerts(store.alias)])


def _kind(alias: str) -> str:
    settings = task_backends.settings.get(alias)
    return str(settings.get("BACKEND", "")).rpartition(".")[2] if isinstance(settings, Mapping) else ""


def _is_faulty(alias: str) -> bool:
    """Return whether a backend that is no store would be one, were its settings right."""
    if what_breaks(alias) is not None:
        return True
    backend = task_backends[alias]
    return isinstance(backend, ReinhardtBackend) and bool(backend.problems)


def _asked(store: Store) -> tuple[list[QueueOverview], list[WorkerView], bool]:
    counts = {each.queue: each for each in store.broker.counts()}
    failed = store.broker.failures()
    now = datetime.now(UTC)
    queues = []
    for queue in sorted({*store.backend.queues, *counts, *failed.counts}):
        its = counts.get(queue)
        numbers = its.counts if its else {}
        oldest = its.oldest_due_at if its else None
        queues.append(
            QueueOverview(
                queue=queue,
                ready=numbers.get(TaskStatus.PENDING, 0),
                running=numbers.get(TaskStatus.RUNNING, 0),
                scheduled=numbers.get(TaskStatus.SCHEDULED, 0),
                retrying=numbers.get(TaskStatus.RETRY, 0),
                failed=failed.counts.get(queue, 0),
                oldest_age=None if oldest is None else max(0.0, (now - oldest).total_seconds()),
                is_paused=bool(its and its.is_paused),
            )
        )
    return queues, workers_of(store), failed.is_cut
