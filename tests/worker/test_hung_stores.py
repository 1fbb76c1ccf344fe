"""A supervisor whose store hangs does not take its own deafness for the fault of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from types import SimpleNamespace

import pytest

from reinhardt_tasks.brokers.base import Pulse, WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Claim, Job, Succeeded, TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import children, supervisor
from reinhardt_tasks.worker.board import Board
from reinhardt_tasks.worker.link import Link
from reinhardt_tasks.worker.supervisor import GAP, GRACE, STALLED, Supervisor

from .running import SOON, Door, enqueued

#: Seconds for which a store hangs, and that a task may run: it would be condemned in the middle of the other.
HANG, TIMEOUT = 14.0, 4.0
SHUTDOWN_TIMEOUT = 30.0


@task
def be_quick() -> None:
    pass


class HangingBroker(MemoryBroker):
    """Does something else first when a verb in `hangs` is next called."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs: dict[str, Callable[[], None]] = {}

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        self.hangs.pop("heartbeat", lambda: None)()
        return super().heartbeat(worker)

    def get(self, ids: Collection[str]) -> dict[str, Job]:
        self.hangs.pop("get", lambda: None)()
        return super().get(ids)


class Stage:
    """A supervisor over one process that sleeps: the test speaks in its place, over its link and on its board."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.now = time.monotonic()
        self.broker = HangingBroker()
        self.process = process
        self.supervisor = Supervisor(
            lambda: self.broker,
            BackendOptions(),
            Door,
            self._bear,
            lambda: WorkerInfo(id="child", lease=3),
            processes=1,
            slots=2,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
        )

    def _bear(self, info: WorkerInfo, link: Link, board: Board, clean: Callable[[], None]) -> int:
        # The supervisor closes what it gave away.
        self.link, self.board, self.info = Link(*map(os.dup, link.numbers)), board, info
        self.link.never_block()
        return self.process.pid

    def turn(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.supervisor._turn(-1)

    def hang(self, verb: str, then: Callable[[], None] = lambda: None, seconds: float = HANG) -> None:
        """Let the store hang in a verb; `then` happens while it does."""

        def hang() -> None:
            self.now += seconds
            then()

        self.broker.hangs[verb] = hang

    def begin(self) -> Claim:
        enqueued(self.broker, be_quick)
        (claim,) = self.broker.claim(None, 1, self.info)
        self.board.put(claim.job.id)
        self.link.tell(began=claim.job.id, token=claim.token, deadline=self.now + TIMEOUT)
        self.turn()
        return claim

    def end(self, claim: Claim) -> None:
        self.board.clear(claim.job.id)
        self.link.tell(ended=claim.job.id, token=claim.token)

    def status(self, claim: Claim) -> TaskStatus:
        return self.broker.get([claim.job.id])[claim.job.id].status

    @property
    def child(self) -> children.Child:
        (child,) = self.supervisor._children
        return child

    def was_told(self, word: str) -> bool:
        return any(word in message for message in self.link.take() or [])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        stage = Stage(process)
        for module in (supervisor, children):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: stage.now))
        stage.turn()
        yield stage
        process.kill()
        stage.link.close()


def test_a_task_that_ended_meanwhile_is_not_taken_for_one_that_does_not_stop(stage: Stage) -> None:
    claim = stage.begin()
    stage.hang("heartbeat", lambda: stage.end(claim))
    stage.turn(2)
    assert not stage.broker.hangs
    stage.turn()
    assert stage.status(claim) is TaskStatus.RUNNING and stage.child.kill_at is None
    assert stage.broker.settle([Succeeded(claim=claim)]) == []


def test_a_task_that_runs_on_has_the_time_in_which_its_process_was_not_heard(stage: Stage) -> None:
    claim = stage.begin()
    stage.hang("heartbeat")
    stage.turn(2)
    assert not stage.broker.hangs
    # Its process may have hung as well, and not been able to stop it.
    stage.turn(TIMEOUT)
    assert stage.status(claim) is TaskStatus.RUNNING and stage.child.kill_at is None
    for _ in range(2):
        stage.turn(GRACE - 1)
    assert stage.status(claim) is not TaskStatus.RUNNING and stage.child.kill_at is not None


def test_no_process_counts_as_stalled_that_was_not_heard(stage: Stage) -> None:
    stage.hang("heartbeat", seconds=STALLED + 60)
    stage.turn(2)
    assert not stage.broker.hangs
    stage.turn()
    assert stage.child.kill_at is None


def test_a_cancelled_task_has_its_time_from_when_its_process_was_told(stage: Stage) -> None:
    claim = stage.begin()
    stage.broker.cancel([claim.job.id])
    # So short that no gap is made up for.
    stage.hang("heartbeat", seconds=GAP - 1)
    for seconds in (1, 0.9, 1, 0):
        stage.turn(seconds)
    assert not stage.broker.hangs
    assert stage.status(claim) is TaskStatus.RUNNING and stage.child.kill_at is None


def test_a_process_whose_task_stopped_at_last_is_not_killed_amid_others(stage: Stage) -> None:
    claim = stage.begin()
    stage.turn(TIMEOUT)
    stage.turn(GRACE - 1)
    stage.hang("get", lambda: stage.end(claim))
    stage.turn(2)
    assert not stage.broker.hangs
    assert stage.was_told("drain")
    assert stage.child.kill_at is not None and stage.child.kill_at > stage.now + SHUTDOWN_TIMEOUT


def test_a_task_stuck_alone_ends_with_its_process_however_long_its_record_took(stage: Stage) -> None:
    stage.begin()
    stage.turn(TIMEOUT)
    stage.turn(GRACE - 1)
    stage.hang("get")
    stage.turn(2)
    assert not stage.broker.hangs
    assert stage.process.wait(SOON) == -signal.SIGKILL
