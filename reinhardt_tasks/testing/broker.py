"""Where captured tasks lie: the memory broker, by the test's clock, with the transactions of the alias it stands for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.db import connections, transaction

from ..backends.base import ReinhardtBackend
from ..backends.database import DatabaseBackend
from ..backends.stand_ins import StandIn
from ..brokers.base import BrokerTraits
from ..brokers.database.session import open_blocks
from ..brokers.lookups import Page, Query
from ..brokers.memory import MemoryBroker
from ..jobs import Job, TaskStatus
from .clock import Clock
from .transactions import Commit

WAITING = tuple(status for status in TaskStatus if status.is_waiting)


class CapturedBroker(MemoryBroker, StandIn):
    """Stands in for the broker of `backend`. What a transaction of the code under test takes back, is gone here too."""

    def __init__(self, backend: ReinhardtBackend, clock: Clock) -> None:
        super().__init__(clock.now)
        self.backend = backend
        self._commits: list[tuple[Commit, list[str]]] = []

    @property
    def traits(self) -> BrokerTraits:
        return BrokerTraits(is_transactional=isinstance(self.backend, DatabaseBackend), place="this test")

    def enqueue(self, jobs: Sequence[Job]) -> list[Job]:
        connection = self._open_connection()
        if connection is None:
            return super().enqueue(jobs)
        known = super().get([job.id for job in jobs])
        stored = super().enqueue(jobs)
        # Not those that were there under the same id or key: a rollback leaves them.
        sent = {job.id for job in jobs} - known.keys()
        new = [job.id for job in stored if job.id in sent]
        self._commits.append((Commit(connection), new))
        return stored

    def get(self, ids: Collection[str]) -> dict[str, Job]:
        self.forget_rolled_back()
        return super().get(ids)

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        self.forget_rolled_back()
        return super().page(query, after, limit)

    def transaction(self) -> AbstractContextManager[None]:
        if isinstance(self.backend, DatabaseBackend):
            context: AbstractContextManager[None] = transaction.atomic(using=self.backend.database)
            return context
        raise NotImplementedError(f"{type(self.backend).__name__} has no transactions that a task's work could join.")

    def jobs(self) -> list[Job]:
        """Return all that was enqueued, oldest first."""
        return self._all(Query())

    def waiting(self) -> list[Job]:
        return self._all(Query(statuses=WAITING))

    def retrying(self, queue: str | None) -> list[Job]:
        return self._all(Query(statuses=(TaskStatus.RETRY,), queue=queue))

    def uncommitted(self) -> list[str]:
        """Return the ids of what was enqueued in a transaction that is open still."""
        self.forget_rolled_back()
        return [id_ for commit, ids in self._commits if commit.is_open for id_ in ids]

    def forget_rolled_back(self) -> None:
        gone = [id_ for commit, ids in self._commits if commit.is_rolled_back for id_ in ids]
        self._commits = [(commit, ids) for commit, ids in self._commits if commit.is_open]
        if gone:
            self.delete(gone)

    def why_waiting_is_hopeless(self) -> str | None:
        return "the test has captured it, and runs it by drain() only. Drain before." if self.waiting() else None

    def _all(self, query: Query) -> list[Job]:
        found: list[Job] = []
        page = self.search(query)
        found += page.jobs
        while page.after is not None:
            page = self.search(query, page.after)
            found += page.jobs
        return found[::-1]

    def _open_connection(self) -> Any:
        """Return the connection whose open transaction the backend's own store would wait for, or None."""
        for alias in self._databases():
            if open_blocks(connections[alias]):
                return connections[alias]
        return None

    def _databases(self) -> Iterator[str]:
        if isinstance(self.backend, DatabaseBackend):
            yield self.backend.database
            return
        settings: Any = self.backend.settings
        if getattr(settings, "enqueue_on_commit", False) or getattr(settings, "outbox", False):
            yield from [settings.database] if settings.database else ["default", *connections.settings]
