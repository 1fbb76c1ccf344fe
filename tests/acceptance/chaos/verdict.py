"""What chaos has left, against what was promised: each fault is a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reinhardt_tasks.jobs import Attempt, Job, TaskStatus

from .errands import LOST, Errand
from .ledger import Ledger

MAX_LOST = 3


@dataclass(kw_only=True)
class Evidence:
    """All that is known at the end. `hurt` names the processes that were killed, stopped or frozen, and how."""

    errands: Sequence[Errand]
    #: Number → the task as it is stored, for those that are.
    jobs: Mapping[int, Job]
    ledger: Ledger
    hurt: Mapping[int, str]
    outages: Sequence[tuple[datetime, datetime]]
    #: Rows that atomic tasks have left, by number.
    effects: Mapping[int, int]
    lease: float
    pids: Mapping[str, int] = field(init=False)
    #: Processes that a task has ended.
    poisoned: Collection[int] = field(init=False)

    def __post_init__(self) -> None:
        self.pids = self.ledger.pid_of
        self.poisoned = {
            run.pid
            for errand in self.errands
            if errand.is_poison or errand.kills_once
            for run in self.ledger.began[errand.number]
        }

    def pid_of(self, worker: str) -> int:
        """Return a worker's process; of one that has begun nothing, what its name says, which may be its supervisor's."""
        return self.pids.get(worker) or int(worker.split(":")[1])

    def is_ours(self, attempt: Attempt) -> bool:
        """Return whether a loss is the monkey's doing."""
        return self.pid_of(attempt.worker) in self.hurt or self.is_in_outage(attempt)

    def is_in_outage(self, attempt: Attempt) -> bool:
        at = attempt.finished_at
        # While the store is away no lease is kept; what follows from that comes a lease later at most.
        return at is not None and any(
            began <= at <= ended + timedelta(seconds=3 * self.lease) for began, ended in self.outages
        )

    def is_explained(self, attempt: Attempt) -> bool:
        """Return whether a loss is the monkey's doing, or a task's that ends processes."""
        return self.is_ours(attempt) or self.pid_of(attempt.worker) in self.poisoned


def faults(evidence: Evidence) -> list[str]:
    """Return what is wrong, a sentence each."""
    found: list[str] = []
    for errand in evidence.errands:
        job = evidence.jobs.get(errand.number)
        if job is None:
            found.append(f"{errand} is lost: it was enqueued, and is not in the store.")
            continue
        found += [f"{errand} {fault}: {_life(job, evidence, errand)}" for fault in _faults_of(errand, job, evidence)]
    return found


def _faults_of(errand: Errand, job: Job, evidence: Evidence) -> Iterator[str]:
    if not job.status.is_finished:
        yield f"is {job.status}, which is no end"
    elif _is_unlucky(errand, job):
        last = job.history[-1]
        if evidence.pid_of(last.worker) in evidence.poisoned and not evidence.is_ours(last):
            yield "was failed by its neighbours"
    elif errand.is_poison:
        if job.status is not TaskStatus.FAILURE or job.history[-1].exception != LOST or job.losses > MAX_LOST:
            yield "does not end after three lost workers"
    else:
        if job.status is not errand.status:
            yield f"ended as {job.status}"
        if not _is_as_planned(errand, job, evidence):
            yield "failed otherwise than planned"
    yield from _faults_of_runs(errand, job, evidence)
    yield from _faults_of_effects(errand, job, evidence)


def _is_as_planned(errand: Errand, job: Job, evidence: Evidence) -> bool:
    """Return whether it failed by itself as often and as it should, apart from what an atomic task meets in an outage."""
    own = [attempt for attempt in job.history if not attempt.lost]
    if not errand.is_atomic:
        return tuple(attempt.exception for attempt in own) == errand.failures
    # What it meets in an outage counts as one of its failures.
    planned = [attempt.exception for attempt in own if not _is_of_the_store(attempt, evidence)]
    return len(own) >= len(errand.failures) >= len(planned) and set(planned) <= set(errand.failures)


def _is_of_the_store(attempt: Attempt, evidence: Evidence) -> bool:
    is_error = attempt.exception.startswith("django.db.utils.") or attempt.exception.endswith("QueueError")
    return is_error and evidence.is_in_outage(attempt)


def _is_unlucky(errand: Errand, job: Job) -> bool:
    """Return whether a task was with too many workers that were lost, without any doing of its own."""
    return not errand.is_poison and job.status is TaskStatus.FAILURE and job.losses >= MAX_LOST


def _faults_of_runs(errand: Errand, job: Job, evidence: Evidence) -> Iterator[str]:
    """Each run belongs to one ended attempt, or to a worker that was stopped and gave it back."""
    runs = Counter(run.worker for run in evidence.ledger.began[errand.number])
    told = Counter(attempt.worker for attempt in job.history)
    if job.status is TaskStatus.SUCCESS:
        told[job.worker or ""] += 1
        if not evidence.ledger.ended[errand.number] and errand.status is TaskStatus.SUCCESS:
            yield "is a success that has never ended"
    if runs.total() > job.token:
        yield f"was run {runs.total()} times by {job.token} claims"
    for worker in (runs - told).elements():
        if evidence.pid_of(worker) not in evidence.hurt and evidence.pid_of(worker) not in evidence.poisoned:
            yield f"was run once more by {worker}, of which its history does not tell"
    for attempt in job.history:
        if not attempt.lost and attempt.worker not in runs and not attempt.exception.endswith("TaskTimeout"):
            yield f"failed by {attempt.exception} in {attempt.worker}, where it was not run"


def _faults_of_effects(errand: Errand, job: Job, evidence: Evidence) -> Iterator[str]:
    if errand.is_atomic:
        rows, wanted = evidence.effects.get(errand.number, 0), int(job.status is TaskStatus.SUCCESS)
        if rows != wanted:
            yield f"left {rows} rows and not {wanted}"


def _life(job: Job, evidence: Evidence, errand: Errand) -> str:
    attempts = "; ".join(
        f"{attempt.exception.rpartition('.')[2]} in {attempt.worker} (process {evidence.pid_of(attempt.worker)}, "
        f"{evidence.hurt.get(evidence.pid_of(attempt.worker), 'not hurt')}) at {attempt.finished_at}"
        for attempt in job.history
    )
    runs = ", ".join(f"{run.worker}/{run.pid}" for run in evidence.ledger.began[errand.number])
    return f"[{job.status} {job.id} token {job.token} worker {job.worker}; history: {attempts}; runs: {runs}]"


def summary(evidence: Evidence) -> str:
    """Return what happened, in numbers."""
    jobs = list(evidence.jobs.values())
    runs = sum(map(len, evidence.ledger.began.values()))
    lost = [attempt for job in jobs for attempt in job.history if attempt.lost]
    unlucky = sum(_is_unlucky(errand, evidence.jobs[errand.number]) for errand in evidence.errands)
    statuses = Counter(job.status.value for job in jobs)
    once_more = sum(
        max(0, len(evidence.ledger.began[each.number]) - 1 - len(each.failures)) for each in evidence.errands
    )
    return (
        f"{len(jobs)} tasks ended ({', '.join(f'{number} {status}' for status, number in sorted(statuses.items()))}), "
        f"{runs} runs, {once_more} of them once more; {len(lost)} attempts lost, "
        f"{sum(not evidence.is_explained(attempt) for attempt in lost)} of them by a lease that ran out under load; "
        f"{unlucky} failed by three blows"
    )
