"""What a worker holds and knows nothing of is given back; what it does not hold any more and still runs is not."""

from __future__ import annotations

import pytest

from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker

from .running import Door, enqueued, stored


@task
def be_quick() -> None:
    pass


@pytest.mark.parametrize("is_condemned", [False, True])
def test_what_the_supervisor_has_condemned_is_no_stranger(is_condemned: bool) -> None:
    """Where the store was away it is not on record that the task was stopped, and others would run it beside the first run."""
    broker = MemoryBroker()
    worker = Worker(broker, BackendOptions(), Door)
    job = enqueued(broker, be_quick)
    broker.claim(None, 1, worker.info)
    if is_condemned:
        worker.drain(job.id)
    for _ in range(3):
        worker._pulsed({}, broker.heartbeat(worker.info))
    assert stored(broker, job).status is (TaskStatus.RUNNING if is_condemned else TaskStatus.PENDING)
