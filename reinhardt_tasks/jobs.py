"""What is stored, held and decided: Job, Claim and Outcome, and the small values they are made of. No I/O."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, ClassVar, Self

from ._compat import DEFAULT_TASK_QUEUE_NAME, TaskResultStatus
from .cuts import beginning
from .gates import Limit, Until


class TaskId(uuid.UUID):
    """A task's id: a UUID of version 7, whose text form sorts by the time it was made.

    `TaskId()` makes a new one; `TaskId(text)` reads one, and raises ValueError for what is no UUID.
    """

    def __init__(self, text: str | uuid.UUID | None = None) -> None:
        super().__init__(new_id() if text is None else str(text))


_last_stamp = 0
_stamp_lock = threading.Lock()


def new_id() -> str:
    """Return a new UUIDv7 as text; later calls in one process sort later.

    RFC 9562 section 6.2, method 3: the 12 bits of `rand_a` hold the fraction of the millisecond, and a stamp that is
    not later than the last is set one step after it.
    """
    global _last_stamp
    now = time.time_ns()
    # The fraction is cut to the 12 bits that the format has for it: 1 step is 1/4096 ms.
    stamp = (now // 1_000_000) << 12 | (now % 1_000_000) * 4096 // 1_000_000
    with _stamp_lock:
        _last_stamp = stamp = max(stamp, _last_stamp + 1)
    return dashed(
        f"{stamp >> 12:012x}7{stamp & 0xFFF:03x}{int.from_bytes(os.urandom(8)) & 0x3FFFFFFFFFFFFFFF | 1 << 63:016x}"
    )


def dashed(digits: str) -> str:
    """Write 32 hexadecimal digits as a UUID."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@dataclass(frozen=True, order=True, slots=True)
class TaskPriority:
    """A priority from 0 to 9, higher first, 5 by default, laid over Django's −100 to 100 so that the defaults are one."""

    value: int = 5

    MINIMUM: ClassVar[int] = 0
    MAXIMUM: ClassVar[int] = 9

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise TypeError(f"A TaskPriority is a whole number from 0 to 9, not {self.value!r}.")
        if not self.MINIMUM <= self.value <= self.MAXIMUM:
            raise ValueError(f"A TaskPriority lies between 0 and 9 (9 runs first); {self.value} does not.")

    @property
    def django(self) -> int:
        """The same priority on Django's scale, −100 to 100: 0 is −100, 5 is 0, 9 is 100."""
        return (self.value - 5) * (20 if self.value <= 5 else 25)

    @classmethod
    def from_django(cls, priority: int) -> TaskPriority:
        """Return the nearest priority of this scale for one of Django's."""
        return cls(round(5 + priority / (20 if priority <= 0 else 25)))

    def __int__(self) -> int:
        return self.value


class TaskStatus(StrEnum):
    """The states of a task, in this package's words; Django's four are a view of them (`.django`)."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"

    @property
    def is_finished(self) -> bool:
        """Whether it is one of SUCCESS, FAILURE and CANCELLED: nothing more happens by itself."""
        return self in (TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.CANCELLED)

    @property
    def is_waiting(self) -> bool:
        """Whether it is one of PENDING, SCHEDULED and RETRY."""
        return self in WAITING

    @property
    def django(self) -> TaskResultStatus:
        """Django's TaskResultStatus for it: READY, RUNNING, SUCCESSFUL or FAILED."""
        return _DJANGO_STATUS[self]


#: The states of what waits, and of what has ended other than well. In one order, since statements are made of them.
WAITING = (TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.RETRY)
ENDED_BADLY = (TaskStatus.FAILURE, TaskStatus.CANCELLED)

_DJANGO_STATUS = {
    TaskStatus.PENDING: TaskResultStatus.READY,
    TaskStatus.SCHEDULED: TaskResultStatus.READY,
    TaskStatus.RETRY: TaskResultStatus.READY,
    TaskStatus.RUNNING: TaskResultStatus.RUNNING,
    TaskStatus.SUCCESS: TaskResultStatus.SUCCESSFUL,
    TaskStatus.FAILURE: TaskResultStatus.FAILED,
    TaskStatus.CANCELLED: TaskResultStatus.FAILED,
}


def percent_of(progress: tuple[float, float]) -> int | None:
    """Return how far a pair of done and total is, 0 to 100; None where its total tells nothing."""
    done, total = progress
    return max(0, min(100, round(100 * done / total))) if total > 0 else None


class Progress(tuple[float, float]):
    """How far a task is: the pair `(done, total)`, and beside it a `message` for people, or None.

    A message is cut to `MESSAGE_LIMIT` letters, and to what every store takes as text.
    """

    MESSAGE_LIMIT: ClassVar[int] = 200

    message: str | None

    def __new__(cls, done: float, total: float, message: str | None = None) -> Self:
        progress = super().__new__(cls, (done, total))
        progress.message = None if message is None else _cut(str(message), cls.MESSAGE_LIMIT)
        return progress

    @property
    def percent(self) -> int | None:
        """How far it is, 0 to 100; None where its total tells nothing."""
        return percent_of(self)

    @property
    def done(self) -> float:
        """How much is done, in whatever the task counts."""
        return self[0]

    @property
    def total(self) -> float:
        """How much there is in all."""
        return self[1]

    def __repr__(self) -> str:
        return f"Progress(done={self.done!r}, total={self.total!r}, message={self.message!r})"

    def __getnewargs__(self) -> tuple[Any, ...]:  # a tuple gives itself alone
        return (*self, self.message)


def _cut(text: str, limit: int) -> str:
    # Halves of surrogate pairs are text to Python alone.
    text = text.encode("utf-8", "replace").decode()
    return beginning(text, limit)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One ended attempt that was not a success: who made it, when, and what went wrong.

    `lost` is true where the worker died or lost its lease: such an attempt says nothing against the task, so it is
    counted apart from its failures.
    """

    worker: str
    started_at: datetime | None
    finished_at: datetime | None
    exception: str
    #: Not in its repr, as in a Job's: it may hold arguments.
    traceback: str = field(repr=False)
    lost: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A task as it is stored. `payload` and `result` are JSON texts that no store ever looks into."""

    id: str
    name: str
    #: Not in its repr, as all that may be made of them: a job that somebody logs must not tell arguments.
    payload: str = field(repr=False)
    backend: str
    queue: str = DEFAULT_TASK_QUEUE_NAME
    priority: int = 0
    run_after: datetime | None = None
    #: No two jobs hold one key. Once it is free, by `once_until`, this is None.
    once_key: str | None = None
    #: When the key is free for another; None keeps it until the job is deleted.
    once_until: Until | None = None
    #: What it must pass, in this order, before a worker may take it.
    limits: tuple[Limit, ...] = ()
    #: Seconds. Enqueued while another with its `once_key` waits, it gives that one its arguments and this time from now, up to
    #: `max_wait` seconds after that one was enqueued. Said on the way in only: a stored job has None.
    debounce: float | None = None
    max_wait: float | None = None
    #: Attempts that the caller's own task or queue asks for; None leaves it to the worker's settings.
    max_attempts: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: Its kind: whether it was a coroutine function when this was enqueued. Claims go by it; what it is by now decides where it
    #: runs.
    is_async: bool = False

    status: TaskStatus = TaskStatus.PENDING
    token: int = 0
    history: tuple[Attempt, ...] = ()
    worker: str | None = None
    enqueued_at: datetime | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    first_started_at: datetime | None = None
    finished_at: datetime | None = None
    result: str | None = field(default=None, repr=False)
    #: What its attempts logged, see `log_lines`. `Broker.get` reads it; claims and searches may leave it out.
    log: str | None = field(default=None, repr=False)
    progress: Progress | None = field(default=None, repr=False)
    cancel_requested: bool = False

    @property
    def failures(self) -> int:
        """Attempts that failed by the task's own doing; these are what `max_attempts` counts."""
        return sum(not attempt.lost for attempt in self.history)

    @property
    def losses(self) -> int:
        """Workers that were lost while they ran this task; `max_lost` is about these."""
        return sum(attempt.lost for attempt in self.history)

    @property
    def worker_ids(self) -> list[str]:
        """One worker for each attempt, the current or successful one included."""
        workers = [attempt.worker for attempt in self.history]
        if self.worker is not None and self.status in (TaskStatus.RUNNING, TaskStatus.SUCCESS):
            workers.append(self.worker)
        return workers


#: Sets one field of a Job, frozen as it is: field → setter.
_SETTERS: dict[str, Callable[[Job, Any], None]] = {item.name: vars(Job)[item.name].__set__ for item in fields(Job)}
_values_of = attrgetter(*_SETTERS)


def changed(job: Job, **changes: Any) -> Job:
    """Do as `dataclasses.replace`, in less than half of the time: every task is copied on its way into its store."""
    new = object.__new__(Job)
    for put, value in zip(_SETTERS.values(), _values_of(job), strict=True):
        put(new, value)
    for name, value in changes.items():
        _SETTERS[name](new, value)
    return new


def as_enqueued(job: Job, now: datetime) -> Job:
    """Return a new job as a store whose clock says `now` would keep it: ready, or waiting for its time."""
    if job.debounce is not None:
        job = replace(job, run_after=debounced_to(job, job, now), debounce=None, max_wait=None)
    due = job.run_after or now
    return changed(job, status=TaskStatus.SCHEDULED if due > now else TaskStatus.PENDING, enqueued_at=now, due_at=due)


def debounced_to(job: Job, first: Job, now: datetime) -> datetime:
    """Return until when `job`, enqueued now, makes the `first` of its key wait."""
    due = now + timedelta(seconds=job.debounce or 0)
    if job.max_wait is not None:
        due = min(due, (first.enqueued_at or now) + timedelta(seconds=job.max_wait))
    return max(due, job.run_after) if job.run_after is not None else due


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A job held by one worker under its lease. `token` is the fence: it is spent once, and grows with each claim."""

    job: Job
    token: int
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """The task returned."""

    claim: Claim
    result: str = field(default="null", repr=False)
    #: What this attempt logged, as `log_lines` writes it; a store adds it to that of the attempts before. So it is below.
    log: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The task failed for good."""

    claim: Claim
    attempt: Attempt
    log: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrying:
    """The attempt ended without success, and another follows after `delay` seconds."""

    claim: Claim
    attempt: Attempt
    delay: float = 0.0
    log: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """The job is given back as if it had not been claimed, to be ready again after `delay` seconds."""

    claim: Claim
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled:
    """The task was stopped because somebody cancelled it."""

    claim: Claim
    attempt: Attempt
    log: str | None = field(default=None, repr=False)


Outcome = Succeeded | Failed | Retrying | Released | Cancelled
