"""Who sleeps in the store for an idle worker may fail there, and the worker gets its tasks all the same."""

from __future__ import annotations

from reinhardt_tasks.brokers.base import BOTH, Kinds, Queues
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker.listener import Listener
from tests.servers import wait_until

from .running import SOON, ended, enqueued, working


class DeafBroker(MemoryBroker):
    """Nobody can sleep in it."""

    trouble: Exception = ValueError("filedescriptor out of range in select()")
    sleeps = 0

    def wait(self, queues: Queues, timeout: float, kinds: Kinds = BOTH) -> bool:
        self.sleeps += 1
        raise self.trouble


@task
def be_quick() -> None:
    pass


def test_a_worker_that_cannot_listen_looks() -> None:
    broker = DeafBroker()
    with working(broker):
        wait_until(lambda: broker.sleeps, "it is idle", timeout=SOON)
        (job,) = ended(broker, enqueued(broker, be_quick))
        assert job.status is TaskStatus.SUCCESS


def test_nothing_is_looked_for_in_a_store_that_is_away() -> None:
    broker, heard = DeafBroker(), []
    broker.trouble = QueueError("down")
    listener = Listener(broker, None, heard.append)
    listener.start()
    listener.listen(BOTH)
    wait_until(lambda: broker.sleeps > 1, "it goes on", timeout=SOON)
    listener.close()
    assert heard == []
