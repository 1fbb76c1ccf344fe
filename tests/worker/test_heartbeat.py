"""The worker's sign of life: it renews the lease, brings back the news, and goes on through every trouble."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Pulse, WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Job, TaskStatus, new_id
from reinhardt_tasks.worker.heartbeat import Heartbeat
from tests.servers import wait_until

from .running import QUICK_LEASE, SOON, Clock

ME = WorkerInfo(id="me", lease=QUICK_LEASE)


class Broker(MemoryBroker):
    """Counts beats, and has the troubles that a test gives it."""

    def __init__(self) -> None:
        super().__init__(now=Clock(frozen=True))
        self.beats = 0
        self.troubles: list[Exception] = []
        self.closed = 0

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        self.beats += 1
        if self.troubles:
            raise self.troubles.pop()
        return super().heartbeat(worker)

    def close(self) -> None:
        self.closed += 1


@contextmanager
def beating(
    broker: Broker, worker: WorkerInfo = ME, held: Callable[[], dict[str, int]] = dict
) -> Iterator[list[tuple[dict[str, int], Pulse]]]:
    heard: list[tuple[dict[str, int], Pulse]] = []
    heartbeat = Heartbeat(broker, worker, held, lambda believed, pulse: heard.append((believed, pulse)))
    heartbeat.start()
    yield heard
    heartbeat.close()


def until(broker: Broker, beats: int) -> None:
    wait_until(lambda: broker.beats >= beats, f"{beats} beats", timeout=SOON)


def test_an_idle_worker_stays_alive() -> None:
    broker = Broker()
    with beating(broker):
        until(broker, 2)
        assert [(record.info.id, record.is_alive) for record in broker.workers()] == [("me", True)]
    assert broker.closed == 1


def test_each_beat_tells_the_memory_of_now() -> None:
    broker = Broker()
    with beating(broker, replace(ME, pid=os.getpid(), memory=1)):
        until(broker, 1)
    (record,) = broker.workers()
    assert record.info.memory is not None and record.info.memory > 2**20


def test_the_news_come_with_what_was_believed_before() -> None:
    broker = Broker()
    (job,) = broker.enqueue([Job(id=new_id(), name="x", payload="", backend="default")])
    broker.claim(None, 1, ME)
    broker.cancel([job.id])
    with beating(broker, held=lambda: {job.id: 1, "gone": 7}) as heard:
        until(broker, 2)
    believed, pulse = heard[0]
    assert believed == {job.id: 1, "gone": 7}
    assert pulse.held == {job.id: 1}
    assert pulse.cancelled == {job.id}
    assert broker.get([job.id])[job.id].status is TaskStatus.RUNNING


@pytest.mark.parametrize("trouble", [QueueError("down"), ValueError("a fault of ours")])
def test_it_goes_on_through_troubles(trouble: Exception, caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()
    broker.troubles = [trouble] * 2
    with beating(broker) as heard:
        wait_until(lambda: heard, "the news come", timeout=SOON)
    assert broker.beats >= 3
    assert str(trouble) in caplog.text


def test_it_goes_on_when_the_news_cannot_be_borne() -> None:
    broker = Broker()
    heard: list[Any] = []

    def fall(believed: dict[str, int], pulse: Pulse) -> None:
        heard.append(pulse)
        raise ValueError("a fault of ours")

    heartbeat = Heartbeat(broker, ME, dict, fall)
    heartbeat.start()
    wait_until(lambda: len(heard) >= 2, "the news come twice", timeout=SOON)
    heartbeat.close()


def test_a_worker_that_has_just_become_busy_hears_of_a_cancellation_soon() -> None:
    """Not only after the long pause that an idle one makes: somebody waits for that."""
    broker = Broker()
    with beating(broker, WorkerInfo(id="me", lease=3600.0), held=lambda: {"a task": 1}) as heard:
        wait_until(lambda: heard, "the news come", timeout=SOON)
    holds: dict[str, int] = {}
    with beating(broker, WorkerInfo(id="me", lease=3600.0), held=lambda: holds) as heard:
        holds["a task"] = 1
        wait_until(lambda: heard, "the news come", timeout=SOON)
