"""The workers of all stores, as people see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..brokers.base import WorkerRecord
from .stores import STORE_ERRORS, Store, stores


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerView:
    """One worker of one store."""

    backend: str
    id: str
    name: str
    host: str
    pid: int
    #: The queues that it serves; none are named where it serves all.
    queues: tuple[str, ...]
    slots: int
    running: int
    is_alive: bool
    started_at: datetime
    beat_at: datetime
    #: Seconds since its last heartbeat.
    beat_age: float
    #: Bytes of its process and of those that it has started; None where it does not tell them.
    memory: int | None = None

    def serves(self, queue: str) -> bool:
        return not self.queues or queue in self.queues


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """The workers, and the stores that could not be asked: alias → why."""

    workers: Sequence[WorkerView]
    away: Mapping[str, str] = field(default_factory=dict)


def workers(*, of: Sequence[Store] | None = None) -> Workers:
    """Return the workers of these stores (all by default): those that live, and lost ones while anything is theirs."""
    found: list[WorkerView] = []
    away: dict[str, str] = {}
    for store in stores() if of is None else of:
        try:
            found += workers_of(store)
        except STORE_ERRORS as exc:
            away[store.alias] = str(exc)
    return Workers(workers=found, away=away)


def workers_of(store: Store) -> list[WorkerView]:
    now = datetime.now(UTC)
    return [_view(store.alias, record, now) for record in store.broker.workers()]


def _view(alias: str, record: WorkerRecord, now: datetime) -> WorkerView:
    info = record.info
    return WorkerView(
        backend=alias,
        id=info.id,
        name=info.name,
        host=info.host,
        pid=info.pid,
        queues=info.queues,
        slots=info.slots,
        running=record.running,
        is_alive=record.is_alive,
        started_at=record.started_at,
        beat_at=record.beat_at,
        beat_age=max(0.0, (now - record.beat_at).total_seconds()),
        memory=info.memory,
    )
