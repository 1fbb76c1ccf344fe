"""A broker whose finished jobs are also written elsewhere, before they are settled: nothing that has ended is ever missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..ended_jobs import ended_by
from ..exceptions import QueueError
from ..jobs import Claim, Job, Outcome, Progress, TaskStatus
from .base import (
    BOTH,
    Advice,
    Broker,
    BrokerTraits,
    Changes,
    Kinds,
    Line,
    Pulse,
    QueueCounts,
    Queues,
    Room,
    WorkerInfo,
    WorkerRecord,
)
from .lookups import Failures, Page, Query, Tallies, merged

#: Seconds between two clearings of what is archived.
CLEAR_EVERY = 60.0

Archive = Callable[[Sequence[Job]], None]


class ArchivingBroker(Broker):
    """The contract over `broker`. `archive` writes jobs idempotently, `archived` is a broker that finds them there.

    Jobs stay in `broker` for `keep` seconds after their end, in the archive for as long as `prune` is told.
    """

    def __init__(self, broker: Broker, archived: Broker, archive: Archive, keep: float) -> None:
        self.broker = broker
        self.archived = archived
        self._archive = archive
        self._keep = timedelta(seconds=keep)
        self._cleared_at = time.monotonic()

    @property
    def traits(self) -> BrokerTraits:
        return self.broker.traits

    def enqueue(self, jobs: Sequence[Job]) -> list[Job]:
        return self.broker.enqueue(jobs)

    async def aenqueue(self, jobs: Sequence[Job]) -> list[Job]:
        """See enqueue()."""
        inner: Any = self.broker
        stored: list[Job] = await inner.aenqueue(jobs)
        return stored

    def part_of(self, job: Job) -> Hashable:
        return self.broker.part_of(job)

    def get(self, ids: Collection[str]) -> dict[str, Job]:
        found = self.broker.get(ids)
        missing = [id_ for id_ in ids if id_ not in found]
        return found | self.archived.get(missing) if missing else found

    async def aget(self, ids: Collection[str]) -> dict[str, Job]:
        """See get()."""
        from asgiref.sync import sync_to_async

        inner: Any = self.broker
        found: dict[str, Job] = await inner.aget(ids)
        missing = [id_ for id_ in ids if id_ not in found]
        return found | await sync_to_async(self.archived.get)(missing) if missing else found

    def wait(self, queues: Queues, timeout: float, kinds: Kinds = BOTH) -> bool:
        return self.broker.wait(queues, timeout, kinds)

    def wake(self) -> None:
        self.broker.wake()

    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        return self.broker.claim(queues, limit, worker)

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        self._write(outcomes)
        return self.broker.settle(outcomes)

    def exchange(
        self, outcomes: Sequence[Outcome], queues: Queues, limit: int | Room, worker: WorkerInfo
    ) -> tuple[list[Claim], list[Claim]]:
        self._write(outcomes)
        return self.broker.exchange(outcomes, queues, limit, worker)

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        return self.broker.heartbeat(worker)

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        return self.broker.rescue(limit, worker)

    def leave(self, worker: WorkerInfo) -> None:
        self.broker.leave(worker)

    def annotate(self, claim: Claim, metadata: Mapping[str, Any], progress: Progress | None) -> bool:
        return self.broker.annotate(claim, metadata, progress)

    def cancel(self, ids: Collection[str]) -> list[str]:
        waiting = {id_: job for id_, job in self.broker.get(ids).items() if job.status.is_waiting}
        now = datetime.now(UTC)
        self._keep_ended(
            [
                replace(job, status=TaskStatus.CANCELLED, cancel_requested=True, finished_at=now)
                for job in waiting.values()
            ]
        )
        done = self.broker.cancel(ids)
        # As they did end: a worker may have run one to its end in between, or given one back, or an earlier call have come so far.
        ended = [job for job in self.broker.get(ids).values() if job.status.is_finished]
        self._keep_ended([job for job in ended if job.status is not TaskStatus.CANCELLED or job.id not in waiting])
        return done

    def retry(self, ids: Collection[str]) -> list[str]:
        before = {id_: job.token for id_, job in self.archived.get(ids).items()}
        done = set(self.broker.retry(ids))
        missing = [id_ for id_ in ids if id_ not in done]
        here = self.broker.get(missing)
        ended = self.archived.get([id_ for id_ in missing if id_ not in here]).values()
        done |= set(self.broker.revive([job for job in ended if job.status is not TaskStatus.SUCCESS]))
        # Only now: what lies in both is as it is there. Not what a worker has run meanwhile, whose end is written already.
        written = self.archived.get(list(done))
        self.archived.delete([id_ for id_, job in written.items() if job.token == before.get(id_)])
        return [id_ for id_ in ids if id_ in done]

    def revive(self, jobs: Sequence[Job]) -> list[str]:
        return self.broker.revive(jobs)

    def delete(self, ids: Collection[str]) -> list[str]:
        held = self.broker.get(ids)
        deleted = self.broker.delete(ids)
        archived = self.archived.delete([id_ for id_ in ids if id_ in deleted or id_ not in held])
        return [id_ for id_ in ids if id_ in deleted or id_ in archived]

    def change(self, ids: Collection[str], changes: Changes) -> list[str]:
        return self.broker.change(ids, changes)

    def rewrite(self, id_: str, payload: str) -> bool:
        done = self.broker.rewrite(id_, payload)
        if done or not self.broker.get([id_]):
            # Whichever of the two is tried again one day, it is this call.
            done = self.archived.rewrite(id_, payload) or done
        return done

    def search(self, query: Query, after: str | None = None, limit: int = 100) -> Page:
        here = self.broker.search(query, after, limit)
        there = self.archived.search(query, after, limit)
        # What lies in both is as it is here: there may stand an end that was fenced off.
        alive = self.broker.get([job.id for job in there.jobs])
        there = replace(there, jobs=[job for job in there.jobs if job.id not in alive])
        return merged([here, there], limit)

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        return self.search(query, after, limit)

    def tally(self, since: datetime, until: datetime, step: timedelta) -> Tallies:
        return self.archived.tally(since, until, step)

    def failures(self, limit: int = 1000) -> Failures:
        return self.archived.failures(limit)

    def counts(self) -> list[QueueCounts]:
        return self.broker.counts()

    def lines(self, limit: int = 100) -> list[Line]:
        return self.broker.lines(limit)

    def line_of(self, id_: str) -> Line | None:
        return self.broker.line_of(id_)

    def workers(self) -> list[WorkerRecord]:
        return self.broker.workers()

    def pause(self, queue: str) -> None:
        self.broker.pause(queue)

    def resume(self, queue: str) -> None:
        self.broker.resume(queue)

    def prune(self, before: datetime, limit: int) -> int:
        self.broker.prune(max(before, datetime.now(UTC) - self._keep), limit)
        return self.archived.prune(before, limit)

    def tidy(self) -> None:
        self.broker.tidy()
        # Also where the archive keeps everything for ever.
        if time.monotonic() - self._cleared_at > CLEAR_EVERY:
            self._cleared_at = time.monotonic()
            self.broker.prune(datetime.now(UTC) - self._keep, 1000)

    def advice(self) -> list[Advice]:
        return self.broker.advice()

    def transaction(self) -> AbstractContextManager[None]:
        return self.broker.transaction()

    def close(self) -> None:
        self.broker.close()
        self.archived.close()

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        try:
            stored = self.broker.get([outcome.claim.job.id for outcome in outcomes])
        except QueueError:
            # A part of it may take outcomes all the same.
            stored = {}
        ended, now = [], datetime.now(UTC)
        for outcome in outcomes:
            # What was annotated while it ran, and whether somebody has cancelled it, is not in the claim.
            job = stored.get(outcome.claim.job.id, outcome.claim.job)
            if job.token == outcome.claim.token and (end := ended_by(job, outcome, now)) is not None:
                ended.append(end)
        self._keep_ended(ended)

    def _keep_ended(self, jobs: Sequence[Job]) -> None:
        if jobs:
            self._archive(jobs)
