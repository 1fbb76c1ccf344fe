"""Where captured tasks lie: the memory broker, by the test's clock, with the transactions of the alias it stands for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.db import connections, transaction

from ..backends.base import ReinhardtBackend
from ..backends.database import DatabaseBackend
from ..backends.stand_ins import StandIn
from ..brokers.base import BrokerTraits, QueueCounts, Queues, Room, WorkerInfo
from ..brokers.database.session import open_blocks
from ..brokers.lookups import Page, Query
from ..brokers.memory import MemoryBroker
from ..jobs import WAITING, Claim, Job, TaskStatus
from .clock import Clock
from .commits import Commit

T = TypeVar("T")


@dataclass(frozen=True)
class _Change:
    """What became of jobs in a transaction that was open then; those that are new were not there before."""

    commit: Commit
    before: dict[str, Job | None]
    after: dict[str, Job]

    @property
    def new(self) -> list[str]:
        return [id_ for id_, job in self.before.items() if job is None]


class CapturedBroker(MemoryBroker, StandIn):
    """Stands in for the broker of `backend`. What a transaction of the code under test takes back, is gone here too."""

    def __init__(self, backend: ReinhardtBackend, clock: Clock) -> None:
        super().__init__(clock.now)
        self.backend = backend
        self._uncommitted: list[_Change] = []

    @property
    def traits(self) -> BrokerTraits:
        return BrokerTraits(is_transactional=isinstance(self.backend, DatabaseBackend), place="this test")

    def enqueue(self, jobs: Sequence[Job]) -> list[Job]:
        return self._with_rollback(self._open_connection(), partial(super().enqueue, jobs))

    def cancel(self, ids: Collection[str]) -> list[str]:
        # What is sent at a commit is cancelled at once.
        connection = self._open_connection() if self.traits.is_transactional else None
        return self._with_rollback(connection, partial(super().cancel, ids))

    def give_up(self) -> list[str]:
        """Cancel all there is, whatever a transaction of the code under test says later; return the ids."""
        ids = [job.id for job in self.jobs()]
        super().cancel(ids)
        return ids

    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        self.forget_rolled_back()
        return super().claim(queues, limit, worker)

    def counts(self) -> list[QueueCounts]:
        self.forget_rolled_back()
        return super().counts()

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
        return [id_ for change in self._uncommitted if change.commit.is_open for id_ in change.new]

    def forget_rolled_back(self) -> None:
        rolled_back = [change for change in self._uncommitted if change.commit.is_rolled_back]
        self._uncommitted = [change for change in self._uncommitted if change.commit.is_open]
        for change in reversed(rolled_back):
            self._undo(change)

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

    def _with_rollback(self, connection: Any, work: Callable[[], T]) -> T:
        """Return what `work` does with the jobs; a rollback of what is open on `connection` takes that back."""
        self.forget_rolled_back()
        if connection is None:
            return work()
        with self._lock:
            before = dict(self._jobs)
            done = work()
            after = {id_: job for id_, job in self._jobs.items() if before.get(id_) is not job}
        self._uncommitted.append(_Change(Commit(connection), {id_: before.get(id_) for id_ in after}, after))
        return done

    def _undo(self, change: _Change) -> None:
        with self._lock:
            self.delete(change.new)
            for id_, job in change.before.items():
                # What has happened to it since is not of that transaction.
                if job is not None and self._jobs.get(id_) is change.after[id_]:
                    self._place(job)
                    if job.once_key is not None:
                        self._once.setdefault(job.once_key, id_)

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
