"""The contract between those who run jobs and those who store them.

Two ways lead to a Claim, `claim` and `rescue`, and one leads back, `settle`. A broker keeps atomicity and fencing; it
decides nothing: whether a failed task runs again is settled by its caller before it is told here. Everything is safe with
threads. Every method may raise QueueError where the store cannot be reached; nothing was changed then, or may be changed
once more without harm, except where a method says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..gates import Limit
from ..jobs import Claim, Job, Outcome, Progress, TaskPriority, TaskStatus
from ..texts import storable
from .lookups import Failures, Page, Tallies, scanned
from .lookups import Query as Query

#: Queue names to serve, or None for whatever queue has something.
Queues = Sequence[str] | None
#: Kinds of jobs, by their `is_async`: ordinary functions are False, coroutine functions True.
Kinds = tuple[bool, ...]
BOTH: Kinds = (False, True)


@dataclass(frozen=True, slots=True)
class Room:
    """How many jobs a claim may take: so many functions, so many coroutines, and no more than `total` together."""

    functions: int
    coroutines: int
    total: int

    @classmethod
    def of(cls, limit: int | Room) -> Room:
        """Return a limit as room: a number is for jobs of whatever kind."""
        return limit if isinstance(limit, Room) else cls(limit, limit, limit)

    def for_kind(self, is_async: bool) -> int:
        return max(0, min(self.total, self.coroutines if is_async else self.functions))

    @property
    def kinds(self) -> Kinds:
        """The kinds for which there is room."""
        return tuple(kind for kind in BOTH if self.for_kind(kind))

    def only(self, kinds: Kinds) -> Room:
        return Room(self.functions if False in kinds else 0, self.coroutines if True in kinds else 0, self.total)

    def beside(self, claims: Sequence[Claim]) -> Room:
        """Return what is left beside `claims`."""
        coroutines = sum(claim.job.is_async for claim in claims)
        return Room(self.functions - len(claims) + coroutines, self.coroutines - coroutines, self.total - len(claims))


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerInfo:
    """A worker as it signs in: `id` is unique to one process's life, the rest is for people.

    Its name and host are made such that every store can keep them: a command line and a host may hold any bytes.
    """

    id: str
    name: str = "worker"
    host: str = ""
    pid: int = 0
    slots: int = 1
    queues: tuple[str, ...] = ()
    #: Seconds after a heartbeat until this worker is taken for dead.
    lease: float = 30.0
    #: Bytes of memory as it last told them; None where it does not tell, which leaves what was told before.
    memory: int | None = None

    def __post_init__(self) -> None:
        for name in ("id", "name", "host"):
            object.__setattr__(self, name, storable(getattr(self, name)))


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRecord:
    """A worker as others see it."""

    info: WorkerInfo
    started_at: datetime
    beat_at: datetime
    is_alive: bool
    running: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """What a heartbeat brings back: what this worker still holds (job id → token), and which of it is to be stopped."""

    held: Mapping[str, int]
    cancelled: frozenset[str] = frozenset()
    #: False where a part of the store did not answer: what is not in `held` may be held there all the same.
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueCounts:
    """How many jobs of a queue are in each state that is not finished. Counted up to a bound: see `counts`."""

    queue: str
    counts: Mapping[TaskStatus, int]
    oldest_due_at: datetime | None = None
    is_paused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A limit that is full, and the jobs that wait before it."""

    limit: Limit
    #: Jobs that are past it and take up its room.
    held: int
    waiting: int
    #: When a rate lets the next one begin; None for a limit of concurrency, which waits for others' ends.
    opens_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What `change` sets; None leaves a thing as it is. A TaskPriority becomes Django's number."""

    priority: int | None = None
    queue: str | None = None
    run_after: datetime | None = None
    is_async: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.priority, TaskPriority):
            object.__setattr__(self, "priority", self.priority.django)


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerTraits:
    """What a caller may know of a broker without knowing which one it is."""

    #: A job enqueued in the caller's open transaction becomes visible when that commits.
    is_transactional: bool = False
    #: Connections that one worker holds to a database for this broker; its task threads hold one each besides.
    connections: int = 0
    #: For people: where the jobs are, without a password.
    place: str = ""


@dataclass(frozen=True)
class Advice:
    """What is not as it should be with a store: a check id's letter and number, a sentence, and the way out."""

    code: str
    message: str
    hint: str


class Broker(ABC):
    """Stores jobs and hands them out, each to one worker at a time."""

    #: `counts()` stops counting a state of a queue here.
    COUNT_LIMIT = 10_000
    #: Seconds after which a `wait` looks by itself, in a store that does not tell what happens in it.
    poll_interval: float = 1.0

    @property
    @abstractmethod
    def traits(self) -> BrokerTraits: ...

    @abstractmethod
    def enqueue(self, jobs: Sequence[Job]) -> list[Job]:
        """Store all of `jobs` or none; return them as stored, in order.

        A job whose id was used before, or whose `once_key` another one has, is not stored again: the first one stands in its
        place in the answer. Sending the same jobs twice is therefore harmless. A key is freed in the same step in which its
        job starts or ends, as its `once_until` says; a job never takes one back. A job with `debounce` gives the first one,
        while that waits, its arguments and a later time. Takes part in the caller's open transaction, where
        `traits.is_transactional`. Raises JobsRefused where a store answers and others than these might be taken.
        """

    def part_of(self, job: Job) -> Hashable:
        """Return what says which part of the store has to answer for a job to be stored: None for the whole of it.

        One that is away stops its own jobs only: see `sifting`.
        """
        return None

    @abstractmethod
    def get(self, ids: Collection[str]) -> dict[str, Job]:
        """Return the jobs that exist among `ids`."""

    @abstractmethod
    def wait(self, queues: Queues, timeout: float, kinds: Kinds = BOTH) -> bool:
        """Sleep until something of these `kinds` may be ready, `wake()` is called, or `timeout` seconds are over. True is a
        hint, no promise."""

    @abstractmethod
    def wake(self) -> None:
        """End the `wait` of every thread of this process that is in one, and the next that begins otherwise."""

    @abstractmethod
    def claim(self, queues: Queues, limit: int | Room, worker: WorkerInfo) -> list[Claim]:
        """Take up to `limit` due jobs under the worker's lease, by priority, `run_after`, age. No other claim gets them.

        With a Room, those of a kind for which there is none (left) are passed over, without a look at each of them.

        Jobs of paused queues are left. A job passes its `limits` before it is seen here: those that wait for one are not
        looked at. Of one key's waiting jobs the first by the same order goes next, as soon as one has left or time allows; what
        is held counts, so a dead worker's jobs keep their slots until they are rescued and settled. A worker that has never
        sent a heartbeat gets its first lease with this.
        """

    @abstractmethod
    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        """Record outcomes, all in one transaction or script; return the claims that were no longer their worker's.

        Those were rescued by another worker meanwhile: nothing is written for them. A success of a job whose
        cancellation was asked for becomes CANCELLED. A store of several parts may raise PartlySettled.
        """

    def exchange(
        self, outcomes: Sequence[Outcome], queues: Queues, limit: int | Room, worker: WorkerInfo
    ) -> tuple[list[Claim], list[Claim]]:
        """`settle` and `claim` in one round trip where the store can; return what each of them does."""
        lost = self.settle(outcomes) if outcomes else []
        return lost, self.claim(queues, limit, worker) if Room.of(limit).kinds else []

    @abstractmethod
    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        """Renew the worker's lease; with it the leases of all that it still holds. What is not in `held` was taken away."""

    @abstractmethod
    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        """Take over up to `limit` jobs of others whose lease ran out. The caller settles them: each has `job.worker`, the
        lost one, and `job.started_at`, when that began. `worker` itself lives, even where its own lease did run out."""

    @abstractmethod
    def leave(self, worker: WorkerInfo) -> None:
        """Sign a worker off. What it still holds is rescued at once by the next that looks."""

    @abstractmethod
    def annotate(self, claim: Claim, metadata: Mapping[str, Any], progress: Progress | None) -> bool:
        """Write a running task's metadata and progress. Return False, writing nothing, when the claim is no longer ours."""

    @abstractmethod
    def cancel(self, ids: Collection[str]) -> list[str]:
        """Cancel jobs; return the ids for which that took effect: waiting ones end at once, running ones are told to stop."""

    @abstractmethod
    def retry(self, ids: Collection[str]) -> list[str]:
        """Make failed and cancelled jobs, and such as wait for a later time, ready now; return the ids. History is kept."""

    def revive(self, jobs: Sequence[Job]) -> list[str]:
        """Store jobs that ended and are kept elsewhere by now: ready, with their token and history; return the ids.

        Those that are here already stay as they are. Raises NotImplementedError where finished jobs never leave the store.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps its finished jobs itself: retry them.")

    @abstractmethod
    def delete(self, ids: Collection[str]) -> list[str]:
        """Delete jobs that are not running; return the ids."""

    @abstractmethod
    def change(self, ids: Collection[str], changes: Changes) -> list[str]:
        """Change jobs that wait; return the ids."""

    @abstractmethod
    def rewrite(self, id_: str, payload: str) -> bool:
        """Give a job that waits, or that ended badly, other arguments. Return False, writing nothing, for any other."""

    def find(self, query: Query, after: str | None = None, limit: int = 100) -> list[Job]:
        """Return the jobs of a `search`, without how far that came."""
        return list(self.search(query, after, limit).jobs)

    def search(self, query: Query, after: str | None = None, limit: int = 100) -> Page:
        """Return up to `limit` jobs that match, newest first by id; `after` is the `after` of the page before.

        One call looks at WALKED jobs at most, at SCANNED where it has to read them whole, and says where it ended then.
        """
        if query.ids is None or query.statuses == ():
            return Page(jobs=[])
        return scanned(self.page, query, after, limit) if query.is_scan else self.page(query, after, limit)

    @abstractmethod
    def page(self, query: Query, after: str | None, limit: int) -> Page:
        """Answer a `search` that is no scan."""

    @abstractmethod
    def tally(self, since: datetime, until: datetime, step: timedelta) -> Tallies:
        """Return how many jobs of each queue ended, and how, in each step of a span of time; from what is still kept.

        It looks at TALLIED jobs at most for an exact answer; where there are more, at a sample of each step.
        """

    @abstractmethod
    def failures(self, limit: int = 1000) -> Failures:
        """Return how many failed jobs each queue has, among the newest `limit` that ended badly."""

    @abstractmethod
    def counts(self) -> list[QueueCounts]:
        """Return what each queue holds, by name; every number is at most COUNT_LIMIT."""

    @abstractmethod
    def lines(self, limit: int = 100) -> list[Line]:
        """Return limits before which jobs wait, up to `limit` of them, the longest line first.

        A store may look at some of the waiting jobs only: a long line is found, a short one beside many others may not be.
        """

    @abstractmethod
    def line_of(self, id_: str) -> Line | None:
        """Return the limit that holds a job back; None where none does."""

    @abstractmethod
    def workers(self) -> list[WorkerRecord]:
        """Return the workers that have signed in and not left, those that died included while anything is theirs."""

    @abstractmethod
    def pause(self, queue: str) -> None:
        """Let no job of `queue` be claimed until `resume`. Survives restarts."""

    @abstractmethod
    def resume(self, queue: str) -> None: ...

    @abstractmethod
    def prune(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` jobs that finished before a moment; return how many."""

    def tidy(self) -> None:  # noqa: B027 - most stores need nothing
        """Do what this store needs to have done every few seconds by whoever lives; a worker's maintenance calls it."""

    def advice(self) -> list[Advice]:
        """Ask the store, and return what of its set-up does not suit a queue."""
        return []

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context in which the caller's database work and this broker's commit together.

        Raises NotImplementedError where jobs do not live in a database.
        """
        raise NotImplementedError(f"{type(self).__name__} has no transactions that a task's own work could join.")

    def close(self) -> None:  # noqa: B027 - a broker may hold nothing
        """Give back what this thread holds of the store (connections)."""
