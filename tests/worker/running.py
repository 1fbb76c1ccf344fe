"""A worker in this process for the time of a test, and the jobs that it is given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any

from reinhardt_tasks.brokers.base import Broker, WorkerInfo
from reinhardt_tasks.jobs import Job, TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.serialization import encode_call
from reinhardt_tasks.worker import Worker, WorkerConfig
from reinhardt_tasks.worker.lost_ends import LostEnds
from reinhardt_tasks.worker.maintenance import Maintenance
from tests.servers import wait_until

#: A worker beats every second or oftener with this lease, idle or not. For clocks that stand still only.
QUICK_LEASE = 1.5
#: Seconds for what takes a moment, on a machine that has much else to do.
SOON = 30.0
AT_ONCE = RetryStrategy.fixed_delay(0)


class Door:
    """Stands where a worker has its backend's class."""


class Clock:
    """The real time until it is told to jump. Two looks within one `frozen` clock see the same time."""

    def __init__(self, *, frozen: bool = False) -> None:
        self._frozen = datetime.now(UTC) if frozen else None
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return (self._frozen or datetime.now(UTC)) + self.offset

    def jump(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)


def job_for(task: Any, *args: Any, **kwargs: Any) -> Job:
    """Return the job of one call of a task, not yet stored."""
    return Job(
        id=new_id(),
        name=task.module_path,
        payload=encode_call(task.module_path, args, kwargs),
        backend=task.backend,
        queue=task.queue_name,
        priority=task.priority,
        run_after=task.run_after,
        max_attempts=task.max_attempts,
        metadata=task.metadata,
        is_async=iscoroutinefunction(task.func),
    )


def enqueued(broker: Broker, task: Any, *args: Any, **kwargs: Any) -> Job:
    (job,) = broker.enqueue([job_for(task, *args, **kwargs)])
    return job


@contextmanager
def working(broker: Broker, options: BackendOptions | None = None, **config: Any) -> Iterator[Worker]:
    """Run a worker in a thread, and stop it at the end, at once if it does not end by itself."""
    options = options or BackendOptions(backoff=AT_ONCE)
    worker = Worker(broker, options, Door, WorkerConfig(**config))
    thread = threading.Thread(target=worker.run, name="worker under test")
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(10)
        if thread.is_alive():
            worker.stop()
            thread.join(30)
        assert not thread.is_alive(), "The worker did not stop."


def run_all(broker: Broker, options: BackendOptions | None = None, **config: Any) -> Worker:
    """Run a worker here until nothing is ready any more, and return it."""
    options = options or BackendOptions(backoff=AT_ONCE)
    worker = Worker(broker, options, Door, WorkerConfig(**{"burst": True, **config}))
    worker.run()
    return worker


def maintenance_of(broker: Broker, worker: WorkerInfo, options: BackendOptions, tally: Any = None) -> Maintenance:
    """Return what a worker does for all, where nobody is told what it brought to an end."""
    return Maintenance(broker, worker, options, LostEnds(lambda: broker, Door), tally)


def ended(broker: Broker, *jobs: Job) -> list[Job]:
    """Return the jobs as they are stored once all of them have finished."""
    ids = [job.id for job in jobs]

    def all_ended() -> bool:
        return all(job.status.is_finished for job in broker.get(ids).values())

    wait_until(all_ended, f"{len(ids)} tasks finish", timeout=SOON)
    found = broker.get(ids)
    return [found[id_] for id_ in ids]


def stored(broker: Broker, job: Job) -> Job:
    return broker.get([job.id])[job.id]


def until(broker: Broker, job: Job, status: TaskStatus) -> Job:
    """Return a job once it is in a state."""
    wait_until(lambda: stored(broker, job).status is status, f"the task is {status}", timeout=SOON)
    return stored(broker, job)
