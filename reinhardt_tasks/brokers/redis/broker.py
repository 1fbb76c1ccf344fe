"""The broker whose jobs are hashes in Redis. Each verb is a script; the scripts keep atomicity and fencing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ...exceptions import QueueError
from ...gates import Limit, decode_limits, encode_limits
from ...jobs import Claim, Job, Outcome, Progress, TaskStatus, as_enqueued, new_id
from ...serialization import encode_progress
from ...timestamps import from_micros, to_micros
from ..base import (
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
from ..lookups import Failures, Page, Query, Tallies
from . import faults, lookups
from .advice import advice_on
from .connections import Connections
from .outcomes import values_of
from .records import as_line, as_worker, encode_metadata, job_of, job_values, moment_of, past_values
from .scripts import script
from .seals import Seal
from .sleeping import Sleepers

#: Jobs in one enqueueing script: it holds up everybody else for as long as it runs, some microseconds a job.
JOBS_AT_ONCE = 1000
#: Parked jobs of each queue among which `lines` looks for lines.
_LOOKED_AT = 500


class RedisBroker(Broker):
    """Jobs of the backend `alias` in one shard, whose keys all begin with `base`.

    `result_ttl` is how many seconds a finished job is kept; `replicas` how many replicas must have a new job before
    `enqueue` returns, `replica_timeout` in how many seconds.
    """

    def __init__(
        self,
        alias: str,
        connections: Connections,
        base: str,
        *,
        result_ttl: float | None = None,
        replicas: int = 0,
        replica_timeout: float = 1.0,
        seal: Seal | None = None,
    ) -> None:
        self.alias = alias
        self.connections = connections
        self.base = base
        self._ttl = int((result_ttl or 0) * 1000)
        self._replicas = replicas
        self._replica_timeout = replica_timeout
        self._seal = seal
        self.sleepers = Sleepers()
        self._signed_in: set[str] = set()
        #: What a worker does for this store every few seconds; set by whoever puts something before it.
        self.chores: list[Callable[[], object]] = []

    @property
    def traits(self) -> BrokerTraits:
        return BrokerTraits(place=f"{self.connections.target.place}, keys {self.base}*")

    def enqueue(self, jobs: Sequence[Job], stamp: str = "") -> list[Job]:
        """See the contract. `stamp`, in microseconds, is when they count as enqueued: by default now, for all the same."""
        answer: list[Job] = []
        for start in range(0, len(jobs), JOBS_AT_ONCE):
            some = jobs[start : start + JOBS_AT_ONCE]
            stamp, ids = self._store(self._jobs_args(some, stamp))
            answer += _firsts(some, ids, stamp, self.get([id_ for id_ in ids if id_]))
        return answer

    async def aenqueue(self, jobs: Sequence[Job], stamp: str = "") -> list[Job]:
        """See enqueue(); on the running event loop, without a thread."""
        answer: list[Job] = []
        for start in range(0, len(jobs), JOBS_AT_ONCE):
            some = jobs[start : start + JOBS_AT_ONCE]
            stamp, ids = await self._astore(self._jobs_args(some, stamp))
            others = [id_ for id_ in ids if id_]
            found = await self.aget(others) if others else {}
            answer += _firsts(some, ids, stamp, found)
        return answer

    def get(self, ids: Collection[str]) -> dict[str, Job]:
        wanted = list(ids)

        def read() -> list[Any]:
            with self.connections.sender.pipeline(transaction=False) as pipeline:
                for id_ in wanted:
                    pipeline.hgetall(f"{self.base}job:{id_}")
                return pipeline.execute(raise_on_error=False)

        return self._jobs_of(wanted, faults.guarded(self, read)) if wanted else {}

    async def aget(self, ids: Collection[str]) -> dict[str, Job]:
        """See get(); on the running event loop, without a thread."""
        wanted = list(ids)
        if not wanted:
            return {}

        async def read() -> list[Any]:
            async with (await self.connections.asender()).pipeline(transaction=False) as pipeline:
                for id_ in wanted:
                    pipeline.hgetall(f"{self.base}job:{id_}")
                found: list[Any] = await pipeline.execute(raise_on_error=False)
                return found

        return self._jobs_of(wanted, await faults.aguarded(self, read))

    def wait(self, queues: Queues, timeout: float, kinds: Kinds = BOTH) -> bool:
        return self.sleepers.wait(self, queues, timeout, kinds)

    def wake(self) -> None:
        self.sleepers.rouse(owes=True)

    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        return self.exchange([], queues, limit, worker)[1]

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        if not outcomes:
            return []
        lost, _ = self._exchange(outcomes, (), Room.of(0), WorkerInfo(id=outcomes[0].claim.worker))
        return lost

    def exchange(
        self, outcomes: Sequence[Outcome], queues: Queues, limit: int | Room, worker: WorkerInfo
    ) -> tuple[list[Claim], list[Claim]]:
        room = Room.of(limit)
        if not room.kinds:
            return self.settle(outcomes), []
        self._sign_in(worker)
        return self._exchange(outcomes, queues, room, worker)

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        facts: dict[str, str | float] = {
            "name": worker.name,
            "host": worker.host,
            "pid": worker.pid,
            "slots": worker.slots,
            "queues": ",".join(worker.queues),
            "lease": worker.lease,
            **({} if worker.memory is None else {"memory": worker.memory}),
        }
        self._signed_in.add(worker.id)
        pairs = [value for pair in facts.items() for value in pair]
        held, stopped = self._call("heartbeat", [worker.id, int(worker.lease * 1_000_000), *pairs])
        return Pulse(
            held={id_: int(token) for id_, token in zip(held[::2], held[1::2], strict=True)},
            cancelled=frozenset(stopped),
        )

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        if limit <= 0:
            return []
        self._sign_in(worker)
        return self._claims(self._take("rescue", [worker.id, int(worker.lease * 1_000_000), limit]), worker)

    def leave(self, worker: WorkerInfo) -> None:
        self._signed_in.discard(worker.id)
        self._call("leave", [worker.id])

    def annotate(self, claim: Claim, metadata: Mapping[str, Any], progress: Progress | None) -> bool:
        told = encode_progress(progress) or ""
        return bool(self._call("annotate", [claim.job.id, claim.token, encode_metadata(metadata), told]))

    def cancel(self, ids: Collection[str]) -> list[str]:
        return self._act("cancel", [self._ttl, *ids]) if ids else []

    def retry(self, ids: Collection[str]) -> list[str]:
        return self._act("retry", list(ids)) if ids else []

    def revive(self, jobs: Sequence[Job]) -> list[str]:
        if not jobs:
            return []
        stored = [value for job in jobs for value in job_values(replace(job, run_after=None), self._seal)]
        pasts = [value for job in jobs for value in past_values(job)]
        return self._act("revive", [len(jobs), *stored, *pasts])

    def delete(self, ids: Collection[str]) -> list[str]:
        return self.delete_keys(ids)[0]

    def change(self, ids: Collection[str], changes: Changes) -> list[str]:
        if not ids or changes == Changes():
            return []
        priority = "" if changes.priority is None else changes.priority
        run_after = "" if changes.run_after is None else to_micros(changes.run_after)
        kind = "" if changes.is_async is None else int(changes.is_async)
        return self._call("change", [priority, changes.queue or "", run_after, kind, *ids])

    def rewrite(self, id_: str, payload: str) -> bool:
        job = self.get([id_]).get(id_)
        if job is None:
            return False
        sealed = self._seal.put_on(job.id, job.name, payload) if self._seal else payload
        return bool(self._call("rewrite", [id_, sealed]))

    def ask(self, name: str, args: Sequence[Any]) -> Any:
        """Call a script that only looks, for `lookups`."""
        return self._call(name, args)

    def jobs_of(self, found: Sequence[Any]) -> list[Job]:
        """Return jobs that a script has found."""
        return [job_of(id_, pairs, self.alias, self._seal) for id_, pairs in found]

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        return lookups.page(self, query, after, limit)

    def tally(self, since: datetime, until: datetime, step: timedelta) -> Tallies:
        return lookups.tally(self, since, until, step)

    def failures(self, limit: int = 1000) -> Failures:
        return lookups.failures(self, limit)

    def counts(self) -> list[QueueCounts]:
        return [
            QueueCounts(
                queue=queue,
                counts={
                    TaskStatus.PENDING: int(ready),
                    TaskStatus.SCHEDULED: int(later),
                    TaskStatus.RETRY: int(retrying),
                    TaskStatus.RUNNING: int(running),
                },
                oldest_due_at=moment_of(due),
                is_paused=bool(paused),
            )
            for queue, ready, later, retrying, running, due, paused in sorted(self._call("counts", [self.COUNT_LIMIT]))
            if any(map(int, (ready, later, retrying, running, paused)))
        ]

    def lines(self, limit: int = 100) -> list[Line]:
        found = map(as_line, self._call("lines", ["", _LOOKED_AT]))
        return sorted(found, key=lambda line: (-line.waiting, line.limit.key))[:limit]

    def line_of(self, id_: str) -> Line | None:
        return next(map(as_line, self._call("lines", [id_, 0])), None) if id_ else None

    def workers(self) -> list[WorkerRecord]:
        return [as_worker(*found) for found in self._call("workers", [])]

    def pause(self, queue: str) -> None:
        faults.guarded(self, lambda: self.connections.sender.sadd(f"{self.base}paused", queue))

    def resume(self, queue: str) -> None:
        self._call("resume", [queue])

    def prune(self, before: datetime, limit: int) -> int:
        return self.prune_keys(before, limit)[0]

    def delete_keys(self, ids: Collection[str]) -> tuple[list[str], list[tuple[str, str]]]:
        """See delete(); return the once keys, with their ids, that are free again, too."""
        if not ids:
            return [], []
        deleted, freed = self._act("delete", list(ids))
        return deleted, list(zip(freed[::2], freed[1::2], strict=True))

    def prune_keys(self, before: datetime, limit: int) -> tuple[int, list[tuple[str, str]]]:
        """See prune(); return the once keys, with their ids, that are free again, too."""
        number, freed = self._act("prune", [to_micros(before), limit])
        return int(number), list(zip(freed[::2], freed[1::2], strict=True))

    def reserve(self, once_key: str, job: Job) -> tuple[str, tuple[Limit, ...]]:
        """Let a once key stand for a job, unless it stands for another; return id and limits of the one that it stands for."""
        id_, limits = self._call("reserve", [once_key, job.id, encode_limits(job.limits) or ""])
        return id_, decode_limits(limits)

    def free(self, once_key: str, job_id: str) -> None:
        """Let a once key stand for nothing again, if it still stands for `job_id`."""
        self._call("free", [once_key, job_id])

    def heads(self, queues: Queues, room: Room) -> list[tuple[float, str, bool]]:
        """Return rank, id and kind of the jobs that a claim would take; nothing is taken."""
        found = self._call("heads", [room.for_kind(False), room.for_kind(True), *(queues or ())])
        return [
            (float(rank), id_, bool(is_async))
            for id_, rank, is_async in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]

    def _sign_in(self, worker: WorkerInfo) -> None:
        """Tell who the worker is; that it lives, each claim tells by itself."""
        if worker.id not in self._signed_in:
            self.heartbeat(worker)

    def advice(self) -> list[Advice]:
        def ask() -> Any:
            client = self.connections.sender
            if self.connections.target.cluster:
                client = client.get_redis_connection(client.get_node_from_key(f"{self.base}all"))
            return client.info()

        return advice_on(faults.guarded(self, ask), self.connections.target.place)

    def tidy(self) -> None:
        for chore in self.chores:
            chore()

    def _call(self, name: str, args: Sequence[Any], *, brings_jobs: bool = False) -> Any:
        def call() -> Any:
            return script(name)(self.connections.send, self.base, args)

        return faults.guarded(self, call, brings_jobs=brings_jobs)

    def _act(self, name: str, args: Sequence[Any]) -> Any:
        """Call a script that finds nothing left to do the second time; sent again, it gives the answer of the first."""
        answer = f"{self.base}answer:{new_id()}"
        return faults.guarded(self, lambda: script(name)(self.connections.send, self.base, args, answer))

    async def _acall(self, name: str, args: Sequence[Any], *, brings_jobs: bool = False) -> Any:
        async def call() -> Any:
            return await script(name).acall((await self.connections.asender()).execute_command, self.base, args)

        return await faults.aguarded(self, call, brings_jobs=brings_jobs)

    def _take(self, name: str, args: Sequence[Any]) -> Any:
        """Call a script that gives out claims: once, since a second time would give out more."""
        return faults.guarded(self, lambda: script(name)(self.connections.taker.execute_command, self.base, args))

    def _exchange(
        self, outcomes: Sequence[Outcome], queues: Queues, room: Room, worker: WorkerInfo
    ) -> tuple[list[Claim], list[Claim]]:
        settled = [value for outcome in outcomes for value in values_of(outcome)]
        rooms = [room.for_kind(False), room.for_kind(True), room.total]
        head = [worker.id, int(worker.lease * 1_000_000), self._ttl, len(outcomes), *rooms]
        named = [-1] if queues is None else [len(queues), *queues]
        lost, claimed = self._take("exchange", [*head, *named, *settled])
        return [outcomes[int(index)].claim for index in lost], self._claims(claimed, worker)

    def _claims(self, found: Sequence[Any], worker: WorkerInfo) -> list[Claim]:
        jobs = [job_of(id_, pairs, self.alias, self._seal) for id_, pairs in found]
        return [Claim(job=job, token=job.token, worker=worker.id) for job in jobs]

    def _jobs_args(self, jobs: Sequence[Job], stamp: str) -> list[Any]:
        return [stamp, len(jobs), *(value for job in jobs for value in job_values(job, self._seal))]

    def _jobs_of(self, ids: Sequence[str], hashes: Sequence[Any]) -> dict[str, Job]:
        if failed := next((found for found in hashes if faults.is_refusal(found)), None):
            raise QueueError(faults.sentence(self, failed)) from failed
        return {
            id_: job_of(id_, found, self.alias, self._seal)
            for id_, found in zip(ids, hashes, strict=True)
            if isinstance(found, dict) and found
        }

    def _store(self, args: Sequence[Any]) -> Any:
        if not self._replicas:
            return self._call("enqueue", args, brings_jobs=True)

        def store(send: Callable[..., Any]) -> Any:
            answer = script("enqueue")(send, self.base, args)
            if any(answer[1]):
                send("SET", f"{self.base}waited", 1)
            self._check_replicas(send("WAIT", self._replicas, int(self._replica_timeout * 1000)))
            return answer

        # WAIT is about what was written before over its own connection. Some of these jobs may be there already, written over
        # another, perhaps over the one that was lost: then something has to be written behind them.
        return faults.guarded(self, lambda: self.connections.send_together(store), brings_jobs=True)

    async def _astore(self, args: Sequence[Any]) -> Any:
        if not self._replicas:
            return await self._acall("enqueue", args, brings_jobs=True)

        async def store(send: Callable[..., Any]) -> Any:
            answer = await script("enqueue").acall(send, self.base, args)
            if any(answer[1]):
                await send("SET", f"{self.base}waited", 1)
            self._check_replicas(await send("WAIT", self._replicas, int(self._replica_timeout * 1000)))
            return answer

        return await faults.aguarded(self, lambda: self.connections.asend_together(store), brings_jobs=True)

    def _check_replicas(self, reached: int) -> None:
        if reached < self._replicas:
            raise QueueError(
                f"The task was stored, but only {reached} of {self._replicas} replicas had it after "
                f"{self._replica_timeout:g} s. It runs if this server lives: look at its replication, or lower "
                "OPTIONS['WAIT_REPLICAS']."
            )


def _firsts(jobs: Sequence[Job], ids: Sequence[str], micros: str, found: Mapping[str, Job]) -> list[Job]:
    """Return what stands for each job: itself, as it was stored at that time, or the first of its kind."""
    now = from_micros(int(micros))
    return [found.get(id_) or as_enqueued(job, now) for job, id_ in zip(jobs, ids, strict=True)]
