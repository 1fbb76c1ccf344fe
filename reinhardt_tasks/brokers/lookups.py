"""What people ask a store for, and what they are told: questions with a bound, answers that say where they ended."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ..jobs import ENDED_BADLY, Job, TaskStatus, dashed
from ..redaction import shown_call, without_secrets
from ..timestamps import to_micros
from ..tracebacks import place_of

#: Jobs that one call of `Broker.search` looks at where the condition is one that no store has an index for.
WALKED = 20_000
#: Jobs that it reads whole, for a condition on what only Python can read: an exception's class and place, words in arguments.
SCANNED = 2_000
#: Jobs of one state, or of one span of time, that are looked at as a whole rather than by walking through all jobs.
GATHERED = 5_000
#: Ended jobs that are counted one by one; and those that are looked at of each step where there are more of them.
TALLIED, SAMPLED = 20_000, 200
#: Ended jobs that are counted in one step, where not even that is at hand.
COUNTED = 10_000
#: Jobs that are read at once.
PAGE = 200

#: How far the clocks of those who make ids and of the store may be apart; how long an id may be older than its job.
_CLOCKS_APART, _STORED_WITHIN = timedelta(minutes=1), timedelta(days=1)

FIRST_ID, LAST_ID = "0" * 32, "f" * 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Which jobs to find; None is no condition. Spans of time begin with `since` and end before `until`."""

    statuses: tuple[TaskStatus, ...] | None = None
    queue: str | None = None
    name: str | None = None
    worker: str | None = None
    enqueued_since: datetime | None = None
    enqueued_until: datetime | None = None
    finished_since: datetime | None = None
    finished_until: datetime | None = None
    #: A whole id, or the beginning of one; with dashes or without.
    id_prefix: str | None = None
    #: The class of the last attempt's exception: its path, or the last part of it.
    exception: str | None = None
    #: Where its last attempt failed in the project's own code, as `place_of_failure` has it.
    place: str | None = None
    #: Letters in the arguments, as people see them (redacted ones are not searched); whatever their case.
    text: str | None = None

    def matches(self, job: Job) -> bool:
        return (
            (self.statuses is None or job.status in self.statuses)
            and (self.queue is None or job.queue == self.queue)
            and (self.name is None or job.name == self.name)
            and (self.worker is None or job.worker == self.worker)
            and _is_within(job.enqueued_at, self.enqueued_since, self.enqueued_until)
            and _is_within(job.finished_at, self.finished_since, self.finished_until)
            and (self.id_prefix is None or _plain(job.id).startswith(_plain(self.id_prefix)))
            and self._is_scanned_for(job)
        )

    @property
    def is_scan(self) -> bool:
        """Whether jobs have to be read whole, one by one, to answer."""
        return self.exception is not None or self.place is not None or self.text is not None

    @property
    def without_scan(self) -> Query:
        return replace(self, exception=None, place=None, text=None)

    @property
    def is_of_failures(self) -> bool:
        """Whether only jobs that ended badly are wanted: stores keep those apart."""
        return self.statuses is not None and set(self.statuses) <= set(ENDED_BADLY)

    @property
    def is_of_living(self) -> bool:
        """Whether only jobs that have not ended are wanted: stores know where those lie."""
        return self.statuses is not None and not any(status.is_finished for status in self.statuses)

    @property
    def is_of_a_time(self) -> bool:
        """Whether only jobs are wanted that ended in a span of time: stores have them in that order."""
        return self.finished_since is not None or self.finished_until is not None

    @property
    def ids(self) -> tuple[str, str] | None:
        """The least and the greatest id that can match, as UUIDs are written; None where no id can."""
        prefix = _plain(self.id_prefix or "")
        if len(prefix) > 32 or re.fullmatch("[0-9a-f]*", prefix) is None:
            return None
        return dashed(prefix + FIRST_ID[len(prefix) :]), dashed(prefix + LAST_ID[len(prefix) :])

    @property
    def walk(self) -> tuple[str, str] | None:
        """Between which ids to walk for what no index serves: new ids tell when they were made.

        An id is made before its job is stored: moments before, or, where it waited for a commit or an outbox, or its time is
        that of the workflow that it is a step of, up to a day. One that is older yet is not found by when it was enqueued.
        """
        if self.ids is None:
            return None
        low, high = self.ids
        if self.enqueued_since is not None:
            low = max(low, _id_at(self.enqueued_since - _STORED_WITHIN, "0"))
        if self.enqueued_until is not None:
            high = min(high, _id_at(self.enqueued_until + _CLOCKS_APART, "f"))
        return low, high

    def _is_scanned_for(self, job: Job) -> bool:
        if self.exception is not None:
            path = job.history[-1].exception if job.history else ""
            if self.exception not in (path, path.rpartition(".")[2]):
                return False
        if self.place is not None and self.place != place_of_failure(job):
            return False
        return self.text is None or self.text.casefold() in shown_call(job).text.casefold()


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Jobs that match, newest first, and how far the store was looked through for them."""

    jobs: Sequence[Job]
    #: Give this for `after` to go on; None: there is nothing more.
    after: str | None = None
    #: The page is not full, though there is more: the bound on what one call looks at was reached.
    is_cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How many jobs of a queue ended, and how, from `begins_at` on for as long as the step that was asked for."""

    begins_at: datetime
    queue: str
    counts: Mapping[TaskStatus, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tallies:
    """What ended in a span of time. Steps and queues in which nothing did are left out."""

    since: datetime
    until: datetime
    step: timedelta
    tallies: Sequence[Tally] = ()
    #: There was too much to count all of it: the numbers follow from a sample of each step.
    is_estimate: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failures:
    """How many failed jobs each queue has, among the newest ones that were looked at."""

    counts: Mapping[str, int] = field(default_factory=dict)
    #: There are more than were looked at: each number is "at least".
    is_cut: bool = False


def place_of_failure(job: Job) -> str:
    """Return where a job's last attempt failed in the project's own code: file, line, function; '' where nothing tells."""
    return place_of(without_secrets(job, job.history[-1].traceback)) if job.history else ""


def scanned(page: Callable[[Query, str | None, int], Page], query: Query, after: str | None, limit: int) -> Page:
    """Answer a scan: look through what `page` finds for the rest of the query, SCANNED jobs at most."""
    found: list[Job] = []
    looked = 0
    while True:
        some = page(query.without_scan, after, PAGE)
        for job in some.jobs:
            if query.matches(job):
                found.append(job)
                if len(found) == limit:
                    return Page(jobs=found, after=job.id)
        looked += len(some.jobs)
        after = some.after
        if after is None:
            return Page(jobs=found)
        if some.is_cut or looked >= SCANNED:
            return Page(jobs=found, after=after, is_cut=True)


def chosen(
    ids: Iterable[str], get: Callable[[list[str]], Iterable[Job]], query: Query, after: str | None, limit: int
) -> Page:
    """Answer a search by ids that were gathered: read them, newest first, until there are enough that match."""
    assert query.ids is not None
    low, high = query.ids
    wanted = sorted((id_ for id_ in set(ids) if low <= id_ <= high and (after is None or id_ < after)), reverse=True)
    found: list[Job] = []
    for start in range(0, len(wanted), PAGE):
        some = [job for job in get(wanted[start : start + PAGE]) if query.matches(job)]
        found += sorted(some, key=lambda job: job.id, reverse=True)
        if len(found) > limit:
            return Page(jobs=found[:limit], after=found[limit - 1].id)
    return Page(jobs=found)


def tallied(
    ended: Iterable[tuple[datetime, str, TaskStatus, int]],
    since: datetime,
    until: datetime,
    step: timedelta,
    is_estimate: bool = False,
) -> Tallies:
    """Return tallies of (finished_at, queue, status, number)."""
    found: dict[tuple[datetime, str], dict[TaskStatus, int]] = defaultdict(lambda: defaultdict(int))
    for finished_at, queue, status, number in ended:
        if since <= finished_at < until and number:
            found[since + (finished_at - since) // step * step, queue][status] += number
    return Tallies(
        since=since,
        until=until,
        step=step,
        tallies=[
            Tally(begins_at=begins_at, queue=queue, counts=dict(counts))
            for (begins_at, queue), counts in sorted(found.items(), key=lambda item: item[0])
        ],
        is_estimate=is_estimate,
    )


def steps(since: datetime, until: datetime, step: timedelta) -> list[tuple[datetime, datetime]]:
    """Return where each step of a span of time begins and ends."""
    number = -((since - until) // step)
    return [(since + step * each, min(until, since + step * (each + 1))) for each in range(number)]


def all_tallies(several: Sequence[Tallies]) -> Tallies:
    """Return the tallies of several stores, about one span of time, as one."""
    first = several[0]
    rows = (
        (tally.begins_at, tally.queue, status, number)
        for each in several
        for tally in each.tallies
        for status, number in tally.counts.items()
    )
    return tallied(rows, first.since, first.until, first.step, any(each.is_estimate for each in several))


def merged(pages: Iterable[Page], limit: int) -> Page:
    """Return pages of several stores as one. Behind where one of them ended, nothing of the others is told yet."""
    some = list(pages)
    floor = max((page.after for page in some if page.after is not None), default=None)
    found: dict[str, Job] = {}
    for page in some:
        for job in page.jobs:
            if floor is None or job.id >= floor:
                found.setdefault(job.id, job)
    jobs = [found[id_] for id_ in sorted(found, reverse=True)]
    if len(jobs) > limit:
        return Page(jobs=jobs[:limit], after=jobs[limit - 1].id)
    return Page(jobs=jobs, after=floor, is_cut=floor is not None and len(jobs) < limit)


def _id_at(moment: datetime, fill: str) -> str:
    """Return the least ("0") or the greatest ("f") id that is made in the millisecond of a moment."""
    millis = min(max(0, to_micros(moment) // 1000), (1 << 48) - 1)
    return dashed(f"{millis:012x}" + fill * 20)


def _is_within(moment: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    return moment is not None and (since is None or moment >= since) and (until is None or moment < until)


def _plain(id_: str) -> str:
    return id_.strip().replace("-", "").lower()
