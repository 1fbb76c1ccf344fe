"""Who of the limited jobs may be taken, and who waits for whom, in memory: the reference of what every store does with limits.

A job passes its limits one after the other. At a full one it is parked, by priority, due time and age, and holds the ones
that it has passed. Since all pass theirs in the same order (a task's before its queue's), nobody waits in a ring. What is
parked costs a claim nothing: it is no longer where claims look. Each slot that is freed lets the first in line go on.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime

from ..gates import Limit
from ..jobs import Job, TaskStatus
from ..timestamps import from_micros, to_micros
from .base import Line

#: What jobs are ordered by.
Rank = tuple[int, datetime, str]


class Gates:
    """`find` returns a job by its id; `open_for` is called with a job that has passed all its limits."""

    def __init__(
        self, find: Callable[[str], Job | None], rank: Callable[[Job], Rank], open_for: Callable[[Job], None]
    ) -> None:
        self._find = find
        self._rank = rank
        self._open_for = open_for
        #: Each key's rule is what the youngest job said of it.
        self._rules: dict[str, tuple[str, Limit]] = {}
        #: Key → jobs that have passed it → when it opens for them, in microseconds.
        self._held: dict[str, dict[str, int]] = defaultdict(dict)
        self._line: dict[str, list[Rank]] = defaultdict(list)
        self._reach: dict[str, int] = defaultdict(int)
        #: Job → the keys that it has passed, and that at which it is parked.
        self._passed: dict[str, list[str]] = {}
        self._parked: dict[str, tuple[str, Rank]] = {}
        self._opening: list[tuple[int, str]] = []
        self._open: set[str] = set()

    def is_open(self, job: Job) -> bool:
        """Return whether a worker may take this job, which is due."""
        return not job.limits or job.id in self._open

    def enter(self, job: Job, now: datetime) -> None:
        """Let a job that is due try its limits, from the first on."""
        freed = self._forget(job.id)
        for limit in job.limits:
            if limit.key not in self._rules or self._rules[limit.key][0] <= job.id:
                self._rules[limit.key] = (job.id, limit)
        self._passed[job.id] = []
        self._go_on(job, now)
        self._fill(freed, now)

    def start(self, job: Job, now: datetime) -> None:
        """Note that a worker has taken a job: that is what rates count."""
        self._open.discard(job.id)
        for limit in job.limits:
            if limit.every and self._held[limit.key].pop(job.id, None) is not None:
                self._passed[job.id].remove(limit.key)
                self._reach[limit.key] = limit.reach_after(self._reach[limit.key], to_micros(now))
                self._fill([limit.key], now)

    def leave(self, job_id: str, now: datetime) -> None:
        """Take back all that a job holds: it has ended, is gone, or waits for a later time."""
        self._fill(self._forget(job_id), now)

    def promote(self, now: datetime) -> None:
        """Let jobs go on for which the time of a rate has come."""
        while self._opening and self._opening[0][0] <= to_micros(now):
            opens_at, job_id = heapq.heappop(self._opening)
            passed, job = self._passed.get(job_id), self._find(job_id)
            is_open = job_id in self._open or job_id in self._parked
            if passed and job is not None and not is_open and self._held[passed[-1]].get(job_id) == opens_at:
                self._go_on(job, now)

    def next_at(self) -> int | None:
        """Return when `promote` is due next, in microseconds."""
        return self._opening[0][0] if self._opening else None

    def lines(self, now: datetime) -> list[Line]:
        """Return the lines in which jobs wait, the longest first."""
        found = [self._line_before(key, now) for key, line in self._line.items() if line]
        return sorted(found, key=lambda line: (-line.waiting, line.limit.key))

    def line_of(self, job_id: str, now: datetime) -> Line | None:
        """Return the limit at which a job is parked, or the rate that lets it go on later."""
        if job_id in self._parked:
            return self._line_before(self._parked[job_id][0], now)
        passed = self._passed.get(job_id)
        if passed and self._held[passed[-1]].get(job_id, 0) > to_micros(now):
            return self._line_before(passed[-1], now)
        return None

    def _line_before(self, key: str, now: datetime) -> Line:
        rule, held = self._rules[key][1], len(self._held[key])
        opens_at = from_micros(rule.opens_at(self._reach[key], 0, to_micros(now)))
        return Line(limit=rule, held=held, waiting=len(self._line[key]), opens_at=opens_at if rule.every else None)

    def _go_on(self, job: Job, now: datetime) -> None:
        passed = self._passed[job.id]
        if len(passed) == len(job.limits):
            self._open.add(job.id)
            self._open_for(job)
            return
        key, rank = job.limits[len(passed)].key, self._rank(job)
        self._parked[job.id] = (key, rank)
        insort(self._line[key], rank)
        self._fill([key], now)

    def _fill(self, keys: Iterable[str], now: datetime) -> None:
        """Let the first in line pass, as far as there is room; and where a later one has passed that nobody has taken yet, in
        its place: what is urgent does not wait behind what is not."""
        for key in keys:
            line, (_, rule) = self._line[key], self._rules[key]
            while line and len(self._held[key]) < rule.size:
                opens_at = rule.opens_at(self._reach[key], len(self._held[key]), to_micros(now))
                self._pass(line.pop(0), key, opens_at, now)
            while line and (last := self._last_waiting(key)) is not None and line[0] < self._rank(last):
                opens_at = self._held[key][last.id]
                freed = [other for other in self._forget(last.id) if other != key]
                self._pass(line.pop(0), key, opens_at, now)
                self._passed[last.id] = []
                self._go_on(last, now)
                self._fill(freed, now)

    def _pass(self, rank: Rank, key: str, opens_at: int, now: datetime) -> None:
        job = self._find(rank[-1])
        assert job is not None
        del self._parked[job.id]
        self._held[key][job.id] = opens_at
        self._passed[job.id].append(key)
        if opens_at > to_micros(now):
            heapq.heappush(self._opening, (opens_at, job.id))
        else:
            self._go_on(job, now)

    def _last_waiting(self, key: str) -> Job | None:
        jobs = [job for id_ in self._held[key] if (job := self._find(id_)) and job.status is TaskStatus.PENDING]
        return max(jobs, key=self._rank, default=None)

    def _forget(self, job_id: str) -> list[str]:
        """Drop what a job has; return the keys that it had passed."""
        self._open.discard(job_id)
        if job_id in self._parked:
            key, rank = self._parked.pop(job_id)
            self._line[key].remove(rank)
        passed = self._passed.pop(job_id, [])
        for key in passed:
            del self._held[key][job_id]
        return passed
