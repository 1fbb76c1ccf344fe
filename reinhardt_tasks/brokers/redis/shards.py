"""One alias spread over several shards, on one server or over the nodes of a Cluster. A job's shard follows from its id.

A shard whose node is away stops its own jobs only: the others are served, and the error is told.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ...exceptions import PartlySettled, QueueError
from ...jobs import Claim, Job, Outcome, Progress, TaskStatus
from ...timestamps import to_micros
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
from ..lookups import Failures, Page, Query, Tallies, all_tallies, merged
from ..wakes import Wakes
from .broker import RedisBroker

T = TypeVar("T")

_AWAY = "A shard of the task queue is away; what belongs to it is settled when it is back."
#: Seconds for which a shard that failed is left alone.
REST = 2.0


class ShardedBroker(Broker):
    """The contract over several RedisBrokers."""

    def __init__(self, shards: Sequence[RedisBroker]) -> None:
        self.shards = list(shards)
        self._resting: dict[int, float] = {}
        self._wakes = Wakes()
        #: See RedisBroker.
        self.chores: list[Callable[[], object]] = []

    @property
    def traits(self) -> BrokerTraits:
        return replace(
            self.shards[0].traits, place=f"{self.shards[0].traits.place} and {len(self.shards) - 1} more shards"
        )

    def shard_of(self, job_id: str) -> RedisBroker:
        return self.shards[zlib.crc32(job_id.encode()) % len(self.shards)]

    @property
    def home(self) -> RedisBroker:
        """The shard of all jobs with limits: one script must see all that a key counts."""
        return self.shards[0]

    def place_of(self, job: Job) -> RedisBroker:
        """Return the shard of a job."""
        return self.home if job.limits else self.shard_of(job.id)

    def part_of(self, job: Job) -> Hashable:
        """Return the shard of a job, and the one that keeps its key."""
        try:
            keeper = None if job.once_key is None else self.shard_of(job.once_key)
        except UnicodeError:
            # No shard keeps that: it is refused when it is sent.
            return job.id
        return self.place_of(job).base, keeper and keeper.base

    def enqueue(self, jobs: Sequence[Job]) -> list[Job]:
        """See the contract; all or none for each shard."""
        stored: dict[str, Job] = {}
        stamp = ""
        firsts = [self._first_of_its_key(job) for job in jobs]
        for shard, some in self._grouped(firsts, self.place_of):
            for job, first in zip(some, shard.enqueue(some, stamp), strict=True):
                stored[job.id] = first
                stamp = stamp or _stamp_of(first)
        return [
            self._for_its_key(job, stored[first.id]) if first.id != job.id else stored[job.id]
            for job, first in zip(jobs, firsts, strict=True)
        ]

    async def aenqueue(self, jobs: Sequence[Job]) -> list[Job]:
        """See enqueue()."""
        if any(job.once_key is not None for job in jobs):
            from asgiref.sync import sync_to_async

            return await sync_to_async(self.enqueue)(jobs)
        stored: dict[str, Job] = {}
        stamp = ""
        for shard, some in self._grouped(jobs, self.place_of):
            for job, first in zip(some, await shard.aenqueue(some, stamp), strict=True):
                stored[job.id] = first
                stamp = stamp or _stamp_of(first)
        return [stored[job.id] for job in jobs]

    def get(self, ids: Collection[str]) -> dict[str, Job]:
        found: dict[str, Job] = {}
        for shard, some in self._by_shard(ids, str):
            found |= shard.get(some)
        missing = [id_ for id_ in ids if id_ not in found and self.shard_of(id_) is not self.home]
        return found | self.home.get(missing) if missing else found

    async def aget(self, ids: Collection[str]) -> dict[str, Job]:
        """See get()."""
        found: dict[str, Job] = {}
        for shard, some in self._by_shard(ids, str):
            found |= await shard.aget(some)
        missing = [id_ for id_ in ids if id_ not in found and self.shard_of(id_) is not self.home]
        return found | await self.home.aget(missing) if missing else found

    def wait(self, queues: Queues, timeout: float, kinds: Kinds = BOTH) -> bool:
        """Sleep in all shards at once, each in a thread; the first that hears something ends it for all."""
        deadline = time.monotonic() + timeout
        #: Shards that could not be listened to in this sleep, and until when they are left alone.
        deaf: dict[int, float] = {}
        with self._wakes.sleeping() as is_woken:
            while not is_woken():
                now = time.monotonic()
                until = [max(self._resting.get(id(one), 0.0), deaf.get(id(one), 0.0)) for one in self.shards]
                shards = [one for one, at in zip(self.shards, until, strict=True) if at <= now] or self.shards
                # No longer than until another is back: what lies there by then has rung its bell for nobody.
                ends_at = min([deadline, *(at for at in until if at > now)])
                if self._wait(shards, queues, max(0.0, ends_at - now), kinds, deaf):
                    return True
                if time.monotonic() >= deadline:
                    return is_woken()
            return True

    def _wait(
        self, shards: Sequence[RedisBroker], queues: Queues, timeout: float, kinds: Kinds, deaf: dict[int, float]
    ) -> bool:
        """Sleep in these shards until one hears something, or fails: that becomes `deaf`, and the others sleep on."""
        heard = threading.Event()
        answers: list[bool] = []
        errors: list[QueueError] = []

        def listen(shard: RedisBroker) -> None:
            try:
                answers.append(shard.wait(queues, timeout, kinds))
            except QueueError as exc:
                deaf[id(shard)] = time.monotonic() + REST
                errors.append(exc)
            if errors or any(answers) or len(answers) == len(shards):
                heard.set()

        threads = [threading.Thread(target=listen, args=(shard,), daemon=True) for shard in shards]
        for thread in threads:
            thread.start()
        heard.wait(timeout + 1.0)
        # Taken before the others are roused, who say then that they were woken.
        is_something = any(answers)
        for shard, thread in zip(shards, threads, strict=True):
            if thread.is_alive():
                shard.sleepers.rouse()
        for thread in threads:
            thread.join(timeout=1.0)
        if len(errors) == len(shards):
            raise errors[0]
        return is_something

    def wake(self) -> None:
        if not self._wakes.call():
            return
        for shard in self.shards:
            shard.wake()

    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        return self.exchange([], queues, limit, worker)[1]

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        """See the contract.

        A shard that rests is asked all the same, and none is sent to rest: whoever tries outcomes one by one must not take a
        rest for a refusal.
        """
        lost, unsettled = self._settle(outcomes, self.shards)
        if unsettled:
            raise PartlySettled(_AWAY, unsettled=unsettled, lost=lost)
        return lost

    def exchange(
        self, outcomes: Sequence[Outcome], queues: Queues, limit: int | Room, worker: WorkerInfo
    ) -> tuple[list[Claim], list[Claim]]:
        asked = self._awake()
        lost, unsettled = self._settle(outcomes, asked)
        for shard, _ in self._grouped(unsettled, self._place_of_outcome):
            if shard in asked:
                self._rest(shard)
        room = Room.of(limit)
        claims = self._claim(queues, room, worker) if room.kinds else []
        if unsettled:
            raise PartlySettled(_AWAY, unsettled=unsettled, lost=lost, claims=claims)
        return lost, claims

    def _settle(self, outcomes: Sequence[Outcome], asked: Sequence[RedisBroker]) -> tuple[list[Claim], list[Outcome]]:
        """Settle what belongs to the shards that are asked; return the claims that were lost, and the outcomes of others and
        of those that did not take theirs."""
        lost: list[Claim] = []
        unsettled: list[Outcome] = []
        for shard, some in self._grouped(outcomes, self._place_of_outcome):
            if shard not in asked:
                unsettled += some
                continue
            try:
                lost += shard.settle(some)
            except QueueError:
                unsettled += some
        return lost, unsettled

    def _place_of_outcome(self, outcome: Outcome) -> RedisBroker:
        return self.place_of(outcome.claim.job)

    def _claim(self, queues: Queues, room: Room, worker: WorkerInfo) -> list[Claim]:
        shares = self._shares(queues, room)
        found = self._each(lambda shard: shard.claim(queues, shares[id(shard)], worker) if id(shard) in shares else [])
        claims = [claim for some in found for claim in some]
        return sorted(claims, key=lambda claim: (-claim.job.priority, claim.job.due_at, claim.job.id))

    def _shares(self, queues: Queues, room: Room) -> Mapping[int, Room]:
        """Return how much to claim from each shard, so that the first in all of them are taken first.

        Another worker may take some of them in between; then a shard gives the ones behind.
        """

        def heads_of(shard: RedisBroker) -> list[tuple[float, str, bool, int]]:
            return [(*head, id(shard)) for head in shard.heads(queues, room)]

        heads = sorted(head for some in self._each(heads_of) for head in some)
        taken: Counter[bool] = Counter()
        shares: dict[int, Counter[bool]] = {}
        for _, _, kind, shard in heads:
            if taken[kind] < room.for_kind(kind) and taken.total() < room.total:
                taken[kind] += 1
                shares.setdefault(shard, Counter())[kind] += 1
        return {shard: Room(share[False], share[True], share.total()) for shard, share in shares.items()}

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        held: dict[str, int] = {}
        cancelled: set[str] = set()
        pulses = list(self._each(lambda shard: shard.heartbeat(worker)))
        for pulse in pulses:
            held |= pulse.held
            cancelled |= pulse.cancelled
        return Pulse(held=held, cancelled=frozenset(cancelled), is_whole=len(pulses) == len(self.shards))

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        claims: list[Claim] = []
        for shard in self._awake():
            try:
                claims += shard.rescue(limit - len(claims), worker)
            except QueueError:
                self._rest(shard)
        return claims

    def leave(self, worker: WorkerInfo) -> None:
        list(self._each(lambda shard: shard.leave(worker)))

    def annotate(self, claim: Claim, metadata: Mapping[str, Any], progress: Progress | None) -> bool:
        return self.place_of(claim.job).annotate(claim, metadata, progress)

    def cancel(self, ids: Collection[str]) -> list[str]:
        return self._edit(ids, lambda shard, some: shard.cancel(some))

    def retry(self, ids: Collection[str]) -> list[str]:
        return self._edit(ids, lambda shard, some: shard.retry(some))

    def revive(self, jobs: Sequence[Job]) -> list[str]:
        return [id_ for shard, some in self._grouped(jobs, self.place_of) for id_ in shard.revive(some)]

    def delete(self, ids: Collection[str]) -> list[str]:
        freed: list[tuple[str, str]] = []

        def delete(shard: RedisBroker, some: list[str]) -> list[str]:
            deleted, keys = shard.delete_keys(some)
            freed.extend(keys)
            return deleted

        deleted = self._edit(ids, delete)
        self._free(freed)
        return deleted

    def change(self, ids: Collection[str], changes: Changes) -> list[str]:
        return self._edit(ids, lambda shard, some: shard.change(some, changes))

    def rewrite(self, id_: str, payload: str) -> bool:
        return self.shard_of(id_).rewrite(id_, payload) or self.home.rewrite(id_, payload)

    def search(self, query: Query, after: str | None = None, limit: int = 100) -> Page:
        return merged((shard.search(query, after, limit) for shard in self.shards), limit)

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        return self.search(query, after, limit)

    def tally(self, since: datetime, until: datetime, step: timedelta) -> Tallies:
        return all_tallies(list(self._each(lambda shard: shard.tally(since, until, step))))

    def failures(self, limit: int = 1000) -> Failures:
        found = list(self._each(lambda shard: shard.failures(limit)))
        counts: Counter[str] = Counter()
        for each in found:
            counts.update(each.counts)
        return Failures(counts=dict(counts), is_cut=any(each.is_cut for each in found))

    def counts(self) -> list[QueueCounts]:
        queues: dict[str, QueueCounts] = {}
        for counts in self._each(lambda shard: shard.counts()):
            for its in counts:
                queues[its.queue] = _sum(queues[its.queue], its, self.COUNT_LIMIT) if its.queue in queues else its
        return [queues[queue] for queue in sorted(queues)]

    def lines(self, limit: int = 100) -> list[Line]:
        return self.home.lines(limit)

    def line_of(self, id_: str) -> Line | None:
        return self.home.line_of(id_)

    def workers(self) -> list[WorkerRecord]:
        records: dict[str, WorkerRecord] = {}
        for some in self._each(lambda shard: shard.workers()):
            for record in some:
                known = records.get(record.info.id)
                records[record.info.id] = (
                    record if known is None else replace(known, running=known.running + record.running)
                )
        return [records[id_] for id_ in sorted(records)]

    def pause(self, queue: str) -> None:
        for shard in self.shards:
            shard.pause(queue)

    def resume(self, queue: str) -> None:
        for shard in self.shards:
            shard.resume(queue)

    def prune(self, before: datetime, limit: int) -> int:
        number = 0
        for shard in self._awake():
            if number >= limit:
                break
            try:
                pruned, freed = shard.prune_keys(before, limit - number)
                number += pruned
                self._free(freed)
            except QueueError:
                self._rest(shard)
        return number

    def advice(self) -> list[Advice]:
        found = {advice for shard in self._awake() for advice in shard.advice()}
        return sorted(found, key=lambda advice: advice.code)

    def tidy(self) -> None:
        for chore in self.chores:
            chore()

    def _first_of_its_key(self, job: Job) -> Job:
        """Return the job under the id that its once key stands for. The key's shard keeps that id; it may lie elsewhere.

        Reserved and not yet stored, as after a crash between the two, is stored now, under the same id. In either case it has
        the limits of the first: they say in which shard that lies, or is just being put. With others, as another queue has,
        there would be two jobs with one id.
        """
        if job.once_key is None:
            return job
        keeper = self.shard_of(job.once_key)
        while (reserved := keeper.reserve(job.once_key, job))[0] != job.id:
            id_, limits = reserved
            first = self.get([id_]).get(id_)
            if first is None or first.once_key == job.once_key:
                return replace(job, id=id_, limits=limits if first is None else first.limits)
            # It has given its key back, in its own shard. Whoever sees that first frees it here.
            keeper.free(job.once_key, id_)
        return job

    def _for_its_key(self, job: Job, first: Job) -> Job:
        """Return what stands for `job`: the `first` of its key, or what is stored now where that has given its key back since."""
        if job.once_key is None or job.once_until is None or first.once_key == job.once_key:
            return first
        return self.enqueue([job])[0]

    def _free(self, keys: Iterable[tuple[str, str]]) -> None:
        for once_key, job_id in keys:
            self.shard_of(once_key).free(once_key, job_id)

    def _by_shard(self, things: Iterable[T], id_of: Callable[[T], str]) -> Iterable[tuple[RedisBroker, list[T]]]:
        return self._grouped(things, lambda thing: self.shard_of(id_of(thing)))

    def _grouped(
        self, things: Iterable[T], place_of: Callable[[T], RedisBroker]
    ) -> Iterable[tuple[RedisBroker, list[T]]]:
        groups: dict[int, tuple[RedisBroker, list[T]]] = {}
        for thing in things:
            shard = place_of(thing)
            groups.setdefault(id(shard), (shard, []))[1].append(thing)
        return groups.values()

    def _edit(self, ids: Collection[str], edit: Callable[[RedisBroker, list[str]], list[str]]) -> list[str]:
        done = {id_ for shard, some in self._by_shard(ids, str) for id_ in edit(shard, some)}
        # Those with limits lie elsewhere than their ids say.
        left = [id_ for id_ in ids if id_ not in done and self.shard_of(id_) is not self.home]
        if left:
            done |= set(edit(self.home, left))
        return [id_ for id_ in ids if id_ in done]

    def _each(self, ask: Callable[[RedisBroker], T]) -> Iterable[T]:
        """Ask every shard that answers; raise only where none does."""
        answers: list[T] = []
        failed: QueueError | None = None
        for shard in self._awake():
            try:
                answers.append(ask(shard))
            except QueueError as exc:
                failed = exc
                self._rest(shard)
        if failed is not None and not answers:
            raise failed
        return answers

    def _rest(self, shard: RedisBroker) -> None:
        self._resting[id(shard)] = time.monotonic() + REST

    def _awake(self) -> list[RedisBroker]:
        now = time.monotonic()
        return [shard for shard in self.shards if self._resting.get(id(shard), 0.0) <= now] or self.shards


def _stamp_of(job: Job) -> str:
    """Return when a job was enqueued, for those that are enqueued with it elsewhere: together they keep their order."""
    return "" if job.enqueued_at is None else str(to_micros(job.enqueued_at))


def _sum(one: QueueCounts, other: QueueCounts, bound: int) -> QueueCounts:
    statuses = [status for status in TaskStatus if not status.is_finished]
    dues = [due for due in (one.oldest_due_at, other.oldest_due_at) if due is not None]
    return QueueCounts(
        queue=one.queue,
        counts={status: min(bound, one.counts.get(status, 0) + other.counts.get(status, 0)) for status in statuses},
        oldest_due_at=min(dues, default=None),
        is_paused=one.is_paused or other.is_paused,
    )
