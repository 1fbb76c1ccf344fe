"""Waiting for work: it ends when there may be some, and when it is woken."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from reinhardt_tasks.brokers.base import BOTH, Broker, Kinds, Queues
from reinhardt_tasks.jobs import Released, Retrying
from tests.servers import wait_until

from .base import LONG, SOON, Promises, attempt_of, new_job, running

#: Seconds that a wait would last, and those after which it was not ended by what the test did.
TIMEOUT, TOO_LATE = 30.0, 20.0


class WaitingThread:
    """A thread that waits with a broker."""

    def __init__(self, broker: Broker, queues: Queues = None, kinds: Kinds = BOTH) -> None:
        self.broker = broker
        self.queues = queues
        self.kinds = kinds
        self.looks = 0
        self.thread: int | None = None

    def __call__(self) -> bool:
        self.thread = threading.get_native_id()
        try:
            return self.broker.wait(self.queues, TIMEOUT, self.kinds)
        finally:
            self.broker.close()

    def has_begun(self) -> bool:
        """Tell whether it was found asleep often enough to be inside of `wait`.

        By what the system says of the thread: to walk the frames of a running one crashes Python 3.11 at times.
        """
        self.looks = self.looks + 1 if self.thread is not None and _is_asleep(self.thread) else 0
        return self.looks >= 5


def _is_asleep(thread: int) -> bool:
    stat = Path(f"/proc/self/task/{thread}/stat")
    # Elsewhere than on Linux a thread that was started is believed.
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "S"


@contextmanager
def begun(*waits: WaitingThread) -> Iterator[list[Future[bool]]]:
    """Start to wait; at the end, demand that each wait was ended by what was done in between."""
    with ThreadPoolExecutor(len(waits)) as threads:
        futures = [threads.submit(wait) for wait in waits]
        for wait, future in zip(waits, futures, strict=True):
            wait_until(lambda wait=wait, future=future: wait.has_begun() or future.done(), "the wait has begun")
            assert not future.done(), "The wait ended though nothing has happened."
        yield futures
        assert [future.result(timeout=TOO_LATE) for future in futures] == [True] * len(waits)


class Waiting(Promises):
    @pytest.mark.parametrize("queues", [None, ["default"], ["other", "default"]])
    def test_a_ready_job_ends_it_at_once(self, broker: Broker, queues: Queues) -> None:
        broker.enqueue([new_job()])
        assert broker.wait(queues, TIMEOUT) is True
        assert broker.wait(queues, 0) is True

    def test_it_ends_in_vain_when_its_time_is_up(self, broker: Broker) -> None:
        broker.enqueue([new_job(queue="elsewhere"), new_job(run_after=self.now() + timedelta(seconds=LONG))])
        assert broker.wait(["default"], 0) is False
        assert broker.wait(["default", "unknown"], 0.05) is False
        assert broker.wait(["unknown"], 0.05) is False

    def test_a_paused_queue_does_not_keep_a_worker_busy(self, broker: Broker) -> None:
        broker.pause("default")
        broker.enqueue([new_job()])
        assert broker.wait(None, 0.05) is False
        assert broker.wait(["default"], 0.05) is False

    def test_a_job_that_becomes_due_ends_it(self, broker: Broker) -> None:
        # Long enough for the wait to begin before.
        broker.enqueue([new_job(run_after=self.now() + timedelta(seconds=3 * SOON))])
        with begun(WaitingThread(broker)):
            self.move_time(3 * SOON)

    def test_a_job_that_is_enqueued_elsewhere_ends_it(self, broker: Broker) -> None:
        with begun(WaitingThread(broker), WaitingThread(self.another_broker(), ["default"])):
            self.another_broker().enqueue([new_job(), new_job()])

    def test_a_job_that_is_given_back_ends_it(self, broker: Broker) -> None:
        claim = running(broker)
        with begun(WaitingThread(broker)):
            self.another_broker().settle([Released(claim=claim)])

    def test_a_job_that_is_to_be_tried_again_ends_it(self, broker: Broker) -> None:
        claim = running(broker)
        with begun(WaitingThread(broker)):
            self.another_broker().settle([Retrying(claim=claim, attempt=attempt_of(claim), delay=SOON)])
            self.move_time(SOON)

    def test_a_job_that_a_person_wants_to_run_now_ends_it(self, broker: Broker) -> None:
        (job,) = broker.enqueue([new_job(run_after=self.now() + timedelta(seconds=LONG))])
        with begun(WaitingThread(broker)):
            self.another_broker().retry([job.id])

    def test_a_queue_that_is_resumed_ends_it(self, broker: Broker) -> None:
        broker.enqueue([new_job()])
        broker.pause("default")
        with begun(WaitingThread(broker)):
            self.another_broker().resume("default")

    def test_wake_ends_every_wait_of_this_process(self, broker: Broker) -> None:
        with begun(WaitingThread(broker), WaitingThread(broker, ["default"])) as futures:
            assert not any(future.done() for future in futures)
            broker.wake()

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Open files are listed by Linux only.")
    def test_a_thread_that_closes_leaves_nothing_open(self, broker: Broker) -> None:
        def use() -> None:
            broker.wait(None, 0)
            broker.close()

        def in_thread() -> int:
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
            return len(os.listdir("/proc/self/fd"))

        counts = [in_thread() for _ in range(16)]
        # What all share may grow still: a pool has as many connections as were needed at once. What each leaves open adds up.
        assert counts[-1] - counts[0] < len(counts) // 2

    def test_wake_ends_the_next_wait_where_nobody_waits(self, broker: Broker) -> None:
        broker.wake()
        assert broker.wait(None, TIMEOUT) is True
        assert broker.wait(None, 0) is False
