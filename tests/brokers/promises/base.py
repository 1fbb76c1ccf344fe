"""What the promises need of a broker's tests, and the jobs, workers and attempts that they are made with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Broker, Queues, WorkerInfo
from reinhardt_tasks.jobs import (
    Attempt,
    Cancelled,
    Claim,
    Failed,
    Job,
    Retrying,
    Succeeded,
    TaskStatus,
    new_id,
)
from tests.servers import wait_until

#: Seconds that a store with a real clock is waited for. Nothing is asserted before they are over.
SOON = 0.3
#: A lease that is waited for: long enough to sign in and claim under, however slow the machine.
SHORT_LEASE = 0.5
#: Seconds that no test lasts.
LONG = 3600.0


class Promises:
    """The hooks of `BrokerContract`."""

    #: Whether the store is so small that every search looks through all of it.
    walks_everything = False

    @pytest.fixture
    def broker(self) -> Broker:
        raise NotImplementedError("Say how to get a broker.")

    def another_broker(self, alias: str = "default") -> Broker:
        """Return a second object on the same store, as another process would have; or another backend of that store."""
        raise NotImplementedError("Say how to get another broker.")

    def now(self) -> datetime:
        """Return the store's time, more or less."""
        return datetime.now(UTC)

    def move_time(self, seconds: float) -> None:
        """Move the store's clock, where it is one of the tests' own. A real one moves by itself: see `wait_until`."""

    def end_lease(self, broker: Broker, worker: WorkerInfo) -> None:
        """Return when the worker's lease has run out."""
        self.move_time(worker.lease + 1)

        def is_over() -> bool:
            return not any(record.is_alive for record in broker.workers() if record.info.id == worker.id)

        wait_until(is_over, "the lease runs out")

    def after(self, moment: datetime) -> datetime:
        """Return a later moment of the store, once that has come."""
        later = moment + timedelta(milliseconds=20)
        self.move_time(1)
        wait_until(lambda: self.now() > later, "time goes on")
        return later

    def claim_when_due(self, broker: Broker, seconds: float, worker: WorkerInfo) -> list[Claim]:
        """Claim what becomes due in `seconds`."""
        self.move_time(seconds)
        return wait_until(lambda: broker.claim(None, 100, worker), "a job becomes due")

    def job_in(self, broker: Broker, status: TaskStatus) -> Job:
        """Return a stored job that is in a state, alone in a queue of its own."""
        job = new_job(queue=f"only-{status.lower()}")
        if status is TaskStatus.SCHEDULED:
            job = new_job(queue=job.queue, run_after=self.now() + timedelta(seconds=LONG))
        broker.enqueue([job])
        match status:
            case TaskStatus.RUNNING:
                claimed(broker, queues=[job.queue])
            case TaskStatus.RETRY:
                claim = claimed(broker, queues=[job.queue])
                broker.settle([Retrying(claim=claim, attempt=attempt_of(claim), delay=LONG)])
            case TaskStatus.SUCCESS:
                broker.settle([Succeeded(claim=claimed(broker, queues=[job.queue]))])
            case TaskStatus.FAILURE:
                claim = claimed(broker, queues=[job.queue])
                broker.settle([Failed(claim=claim, attempt=attempt_of(claim))])
            case TaskStatus.CANCELLED:
                claim = claimed(broker, queues=[job.queue])
                broker.cancel([job.id])
                broker.settle([Cancelled(claim=claim, attempt=attempt_of(claim, exception="TaskCancelled"))])
        stored = stored_job(broker, job)
        assert stored.status is status
        return stored


def new_job(**values: Any) -> Job:
    return Job(**{"id": new_id(), "name": "tests.tasks.add", "payload": "{}", "backend": "default", **values})


def enqueued(broker: Broker, *jobs: Job) -> list[Job]:
    """Enqueue jobs and return them as the store has them, with the times of its clock."""
    ids = [job.id for job in broker.enqueue(jobs)]
    found = broker.get(ids)
    return [found[id_] for id_ in ids]


def new_worker(name: str = "worker", *, lease: float = LONG) -> WorkerInfo:
    return WorkerInfo(
        id=f"{name}-{new_id()}", name=name, host="host", pid=17, slots=4, queues=("default",), lease=lease
    )


def signed_in(broker: Broker, name: str = "worker", *, lease: float = LONG) -> WorkerInfo:
    worker = new_worker(name, lease=lease)
    broker.heartbeat(worker)
    return worker


def claimed(broker: Broker, worker: WorkerInfo | None = None, queues: Queues = None) -> Claim:
    """Return the claim of the one job that is due next."""
    claim, *others = broker.claim(queues, 1, worker or new_worker())
    assert not others
    return claim


def running(broker: Broker, worker: WorkerInfo | None = None, **values: Any) -> Claim:
    """Enqueue a job and return its claim."""
    job = new_job(**values)
    broker.enqueue([job])
    claim = claimed(broker, worker, [job.queue])
    assert claim.job.id == job.id
    return claim


def attempt_of(claim: Claim, **values: Any) -> Attempt:
    return Attempt(
        **{
            "worker": claim.worker,
            "started_at": claim.job.started_at,
            "finished_at": None,
            "exception": "builtins.ValueError",
            "traceback": "Traceback (most recent call last):\nValueError: no",
            **values,
        }
    )


def stored_job(broker: Broker, job: Job | Claim) -> Job:
    """Return a job as it is stored now."""
    id_ = job.job.id if isinstance(job, Claim) else job.id
    return broker.get([id_])[id_]


def ids_of(items: Any) -> list[str]:
    return [item.job.id if isinstance(item, Claim) else item.id for item in items]
