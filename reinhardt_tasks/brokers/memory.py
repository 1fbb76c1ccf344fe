"""The reference broker: the contract in its plainest form, in this process's memory. Tests use it; read it first."""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..ended_jobs import ended_by, noted
from ..gates import Until
from ..jobs import Claim, Job, Outcome, Progress, Released, Retrying, TaskStatus, as_enqueued, debounced_to
from ..timestamps import from_micros
from .base import (
    BOTH,
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
from .lookups import Failures, Page, Query, Tallies, chosen, tallied
from .memory_gates import Gates


class MemoryBroker(Broker):
    """Jobs in a dictionary under one lock. `now` is the clock; tests give one that they move."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Condition(threading.RLock())
        self._jobs: dict[str, Job] = {}
        self._once: dict[str, str] = {}
        #: By queue and kind.
        self._ready: dict[tuple[str, bool], list[tuple[int, datetime, str]]] = defaultdict(list)
        self._waiting: list[tuple[datetime, str]] = []
        self._gates = Gates(self._jobs.get, _rank, self._open_for)
        self._workers: dict[str, tuple[WorkerInfo, datetime, datetime]] = {}
        self._paused: set[str] = set()
        self._woken = self._sleepers = 0
        # A wake that found nobody asleep is owed to the next who is about to be.
        self._is_owed = False

    @property
    def traits(self) -> BrokerTraits:
        return BrokerTraits(place="this process's memory")

    def enqueue(self, jobs: Sequence[Job]) -> list[Job]:
        with self._lock:
            return [self._store(job) for job in jobs]

    def get(self, ids: Collection[str]) -> dict[str, Job]:
        with self._lock:
            return {id_: self._jobs[id_] for id_ in ids if id_ in self._jobs}

    def wait(self, queues: Queues, timeout: float, kinds: Kinds = BOTH) -> bool:
        deadline = time.monotonic() + timeout
        with self._lock:
            self._sleepers += 1
            try:
                woken = self._woken
                while True:
                    self._promote()
                    if self._woken != woken or self._is_owed or any(self._heads(queues, kinds)):
                        self._is_owed = False
                        return True
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    if (due := self._next_due()) is not None:
                        left = min(left, max(0.0, (due - self._now()).total_seconds()))
                    self._lock.wait(left)
            finally:
                self._sleepers -= 1

    def wake(self) -> None:
        with self._lock:
            self._woken += 1
            self._is_owed = not self._sleepers
            self._lock.notify_all()

    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        with self._lock:
            self._promote()
            if not self._is_alive(worker.id):
                self._sign_in(worker)
            claims: list[Claim] = []
            room = Room.of(limit)
            while heads := sorted(self._heads(queues, room.beside(claims).kinds)):
                *_, line = heads[0]
                _, _, job_id = heapq.heappop(self._ready[line])
                claims.append(self._hold(self._jobs[job_id], worker))
            return claims

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        with self._lock:
            return [outcome.claim for outcome in outcomes if not self._settle(outcome)]

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        with self._lock:
            self._sign_in(worker)
            held = [job for job in self._jobs.values() if self._is_held(job, worker.id)]
            return Pulse(
                held={job.id: job.token for job in held},
                cancelled=frozenset(job.id for job in held if job.cancel_requested),
            )

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        with self._lock:
            if not self._is_alive(worker.id):
                self._sign_in(worker)
            lost = [
                job
                for job in self._jobs.values()
                if job.status is TaskStatus.RUNNING and not self._is_alive(job.worker or "")
            ][:limit]
            claims = []
            for job in lost:
                held = self._hold(job, worker)
                # The caller is told who was lost; what is stored names who holds it now.
                claims.append(replace(held, job=replace(job, token=held.token)))
            gone = [name for name in self._workers if not self._is_alive(name) and not self._holds_any(name)]
            for name in gone:
                del self._workers[name]
            return claims

    def leave(self, worker: WorkerInfo) -> None:
        with self._lock:
            self._workers.pop(worker.id, None)

    def annotate(self, claim: Claim, metadata: Mapping[str, Any], progress: Progress | None) -> bool:
        with self._lock:
            if not self._is_ours(claim):
                return False
            job = self._jobs[claim.job.id]
            self._jobs[job.id] = replace(job, metadata=dict(metadata), progress=progress)
            return True

    def cancel(self, ids: Collection[str]) -> list[str]:
        def cancel(job: Job) -> Job | None:
            if job.status is TaskStatus.RUNNING:
                return replace(job, cancel_requested=True)
            if job.status.is_waiting:
                return replace(job, status=TaskStatus.CANCELLED, finished_at=self._now(), cancel_requested=True)
            return None

        return self._edit(ids, cancel)

    def retry(self, ids: Collection[str]) -> list[str]:
        def retry(job: Job) -> Job | None:
            if job.status in (TaskStatus.RUNNING, TaskStatus.SUCCESS, TaskStatus.PENDING):
                return None
            return replace(job, status=TaskStatus.PENDING, due_at=self._now(), finished_at=None, cancel_requested=False)

        return self._edit(ids, retry)

    def delete(self, ids: Collection[str]) -> list[str]:
        with self._lock:
            found = [id_ for id_ in ids if id_ in self._jobs and self._jobs[id_].status is not TaskStatus.RUNNING]
            for id_ in found:
                self._forget(id_)
            return found

    def change(self, ids: Collection[str], changes: Changes) -> list[str]:
        def change(job: Job) -> Job | None:
            if not job.status.is_waiting:
                return None
            values: dict[str, Any] = {}
            if changes.priority is not None:
                values["priority"] = changes.priority
            if changes.queue is not None:
                values["queue"] = changes.queue
            if changes.is_async is not None:
                values["is_async"] = changes.is_async
            if changes.run_after is not None:
                late = changes.run_after > self._now()
                status = TaskStatus.SCHEDULED if late else TaskStatus.PENDING
                values |= {"run_after": changes.run_after, "due_at": changes.run_after, "status": status}
            return replace(job, **values)

        return self._edit(ids, change)

    def rewrite(self, id_: str, payload: str) -> bool:
        with self._lock:
            job = self._jobs.get(id_)
            if job is None or job.status in (TaskStatus.RUNNING, TaskStatus.SUCCESS):
                return False
            self._jobs[id_] = replace(job, payload=payload)
            return True

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        with self._lock:
            return chosen(self._jobs, lambda ids: [self._jobs[id_] for id_ in ids], query, after, limit)

    def tally(self, since: datetime, until: datetime, step: timedelta) -> Tallies:
        with self._lock:
            ended = [(job.finished_at, job.queue, job.status, 1) for job in self._jobs.values() if job.finished_at]
        return tallied(ended, since, until, step)

    def failures(self, limit: int = 1000) -> Failures:
        with self._lock:
            bad = sorted(job.id for job in self._jobs.values() if job.status.is_finished and job.status != "SUCCESS")
            newest = [self._jobs[id_] for id_ in bad[-limit:]]
        counts = Counter(job.queue for job in newest if job.status is TaskStatus.FAILURE)
        return Failures(counts=counts, is_cut=len(bad) > limit)

    def counts(self) -> list[QueueCounts]:
        with self._lock:
            self._promote()
            found: dict[str, list[Job]] = defaultdict(list)
            for job in self._jobs.values():
                if not job.status.is_finished:
                    found[job.queue].append(job)
            for queue in self._paused:
                found.setdefault(queue, [])
            return [self._count(queue, jobs) for queue, jobs in sorted(found.items())]

    def lines(self, limit: int = 100) -> list[Line]:
        with self._lock:
            self._promote()
            return self._gates.lines(self._now())[:limit]

    def line_of(self, id_: str) -> Line | None:
        with self._lock:
            self._promote()
            return self._gates.line_of(id_, self._now())

    def workers(self) -> list[WorkerRecord]:
        with self._lock:
            return [
                WorkerRecord(
                    info=info,
                    started_at=started,
                    beat_at=beat,
                    is_alive=self._is_alive(name),
                    running=sum(self._is_held(job, name) for job in self._jobs.values()),
                )
                for name, (info, started, beat) in sorted(self._workers.items())
            ]

    def pause(self, queue: str) -> None:
        with self._lock:
            self._paused.add(queue)

    def resume(self, queue: str) -> None:
        with self._lock:
            self._paused.discard(queue)
            self._lock.notify_all()

    def prune(self, before: datetime, limit: int) -> int:
        with self._lock:
            old = [job.id for job in self._jobs.values() if job.finished_at is not None and job.finished_at < before]
            for id_ in old[:limit]:
                self._forget(id_)
            return len(old[:limit])

    def _store(self, job: Job) -> Job:
        if (same := self._jobs.get(job.id)) is not None:
            return same
        first = self._jobs.get(self._once.get(job.once_key or "", ""))
        if first is not None:
            return first if job.debounce is None or not first.status.is_waiting else self._put_off(first, job)
        job = as_enqueued(job, self._now())
        if job.once_key is not None:
            self._once[job.once_key] = job.id
        self._place(job)
        return job

    def _put_off(self, first: Job, job: Job) -> Job:
        """Let `first` wait longer, with the arguments of `job`, which stands for the same."""
        due = debounced_to(job, first, self._now())
        late = due > self._now()
        if not late and first.status is TaskStatus.PENDING:
            due = first.due_at or due
        self._place(
            replace(
                first,
                payload=job.payload,
                run_after=due,
                due_at=due,
                status=TaskStatus.SCHEDULED if late else TaskStatus.PENDING,
            )
        )
        return self._jobs[first.id]

    def _place(self, job: Job) -> None:
        """Put a job where its status says that it lies. Entries of its former place are passed over when met."""
        if job.status.is_finished and job.once_until is not None:
            job = self._freed(job)
        self._jobs[job.id] = job
        if job.status is TaskStatus.PENDING:
            if job.limits:
                self._gates.enter(job, self._now())
            else:
                self._open_for(job)
        elif job.status is not TaskStatus.RUNNING:
            self._gates.leave(job.id, self._now())
        if job.status.is_waiting and job.status is not TaskStatus.PENDING:
            assert job.due_at is not None
            heapq.heappush(self._waiting, (job.due_at, job.id))
        self._lock.notify_all()

    def _open_for(self, job: Job) -> None:
        heapq.heappush(self._ready[job.queue, job.is_async], _rank(job))

    def _freed(self, job: Job) -> Job:
        """Return the job without its once key, which others may use from now on."""
        if job.once_key is not None and self._once.get(job.once_key) == job.id:
            del self._once[job.once_key]
        return replace(job, once_key=None)

    def _next_due(self) -> datetime | None:
        micros = self._gates.next_at()
        dues = [self._waiting[0][0]] if self._waiting else []
        return min([*dues, *([] if micros is None else [from_micros(micros)])], default=None)

    def _promote(self) -> None:
        self._gates.promote(self._now())
        while self._waiting and self._waiting[0][0] <= self._now():
            due, job_id = heapq.heappop(self._waiting)
            job = self._jobs.get(job_id)
            if job is not None and job.status.is_waiting and job.status is not TaskStatus.PENDING and job.due_at == due:
                self._place(replace(job, status=TaskStatus.PENDING))

    def _heads(self, queues: Queues, kinds: Kinds) -> Iterator[tuple[int, datetime, str, tuple[str, bool]]]:
        names = {queue for queue, _ in self._ready} if queues is None else queues
        for line in [(queue, kind) for queue in names for kind in kinds]:
            heap = self._ready[line]
            while heap and not self._is_entry(line, heap[0]):
                heapq.heappop(heap)
            if heap and line[0] not in self._paused:
                yield (*heap[0], line)

    def _is_entry(self, line: tuple[str, bool], entry: tuple[int, datetime, str]) -> bool:
        job = self._jobs.get(entry[2])
        return (
            job is not None
            and job.status is TaskStatus.PENDING
            and (job.queue, job.is_async) == line
            and _rank(job) == entry
            and self._gates.is_open(job)
        )

    def _hold(self, job: Job, worker: WorkerInfo) -> Claim:
        job = replace(
            job,
            status=TaskStatus.RUNNING,
            token=job.token + 1,
            worker=worker.id,
            started_at=self._now(),
            first_started_at=job.first_started_at or self._now(),
        )
        if job.once_until is Until.STARTED:
            job = self._freed(job)
        self._jobs[job.id] = job
        self._gates.start(job, self._now())
        return Claim(job=job, token=job.token, worker=worker.id)

    def _settle(self, outcome: Outcome) -> bool:
        if not self._is_ours(outcome.claim):
            return False
        job, now = self._jobs[outcome.claim.job.id], self._now()
        if (ended := ended_by(job, outcome, now)) is not None:
            self._place(ended)
        elif isinstance(outcome, Retrying):
            self._put_back(noted(job, outcome, now), TaskStatus.RETRY, outcome.delay, now)
        elif isinstance(outcome, Released):
            self._put_back(job, TaskStatus.SCHEDULED, outcome.delay, now)
        return True

    def _put_back(self, job: Job, later: TaskStatus, delay: float, now: datetime) -> None:
        if delay > 0:
            self._place(replace(job, status=later, due_at=now + timedelta(seconds=delay)))
        elif later is TaskStatus.RETRY:
            self._place(replace(job, status=TaskStatus.PENDING, due_at=now))
        else:
            # As if it had never been claimed: it keeps its place in the queue.
            self._place(replace(job, status=TaskStatus.PENDING))

    def _is_ours(self, claim: Claim) -> bool:
        job = self._jobs.get(claim.job.id)
        return job is not None and job.status is TaskStatus.RUNNING and job.token == claim.token

    def _is_held(self, job: Job, worker: str) -> bool:
        return job.status is TaskStatus.RUNNING and job.worker == worker

    def _holds_any(self, worker: str) -> bool:
        return any(self._is_held(job, worker) for job in self._jobs.values())

    def _sign_in(self, worker: WorkerInfo) -> None:
        now = self._now()
        known, started, _ = self._workers.get(worker.id, (worker, now, now))
        if worker.memory is None:
            worker = replace(worker, memory=known.memory)
        self._workers[worker.id] = (worker, started, now)

    def _is_alive(self, worker: str) -> bool:
        if worker not in self._workers:
            return False
        info, _, beat = self._workers[worker]
        return self._now() < beat + timedelta(seconds=info.lease)

    def _edit(self, ids: Collection[str], edit: Callable[[Job], Job | None]) -> list[str]:
        with self._lock:
            done = []
            for id_ in ids:
                job = self._jobs.get(id_)
                if job is not None and (changed := edit(job)) is not None:
                    self._place(changed)
                    done.append(id_)
            return done

    def _forget(self, id_: str) -> None:
        job = self._jobs.pop(id_)
        if job.once_key is not None and self._once.get(job.once_key) == id_:
            del self._once[job.once_key]
        self._gates.leave(id_, self._now())

    def _count(self, queue: str, jobs: list[Job]) -> QueueCounts:
        counts = {status: 0 for status in TaskStatus if not status.is_finished}
        for job in jobs:
            counts[job.status] = min(counts[job.status] + 1, self.COUNT_LIMIT)
        due = [job.due_at for job in jobs if job.status is TaskStatus.PENDING and job.due_at is not None]
        return QueueCounts(
            queue=queue, counts=counts, oldest_due_at=min(due, default=None), is_paused=queue in self._paused
        )


def _rank(job: Job) -> tuple[int, datetime, str]:
    assert job.due_at is not None
    return (-job.priority, job.due_at, job.id)
