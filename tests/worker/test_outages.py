"""The store does not answer for a while, refuses one thing, or answers too late: what has ended is recorded all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import BOTH, Pulse, WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import PartlySettled, QueueError
from reinhardt_tasks.jobs import Claim, Outcome, Succeeded, TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig
from reinhardt_tasks.worker.outages import Outages
from tests.servers import wait_until

from .running import AT_ONCE, QUICK_LEASE, SOON, Clock, Door, ended, enqueued, job_for, stored, working

OPTIONS = BackendOptions(backoff=AT_ONCE, lease=QUICK_LEASE)

began: list[int] = []
go = threading.Event()


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    global go
    go = threading.Event()
    began.clear()
    yield
    go.set()


@task
def wait_for_go(number: int) -> int:
    began.append(number)
    assert go.wait(60)
    return number


@task
def give_back(value: Any) -> Any:
    return value


class Flaky(MemoryBroker):
    """Out of order while `is_down`. Time stands still, so that no lease runs out meanwhile."""

    def __init__(self) -> None:
        super().__init__(now=Clock(frozen=True))
        self.is_down = False
        self.refusals = 0

    def _answer(self) -> None:
        if self.is_down:
            self.refusals += 1
            raise QueueError("the store is down")

    def wait(self, queues: Any, timeout: float, kinds: Any = BOTH) -> bool:
        self._answer()
        return super().wait(queues, timeout, kinds)

    def claim(self, queues: Any, limit: int, worker: WorkerInfo) -> list[Claim]:
        self._answer()
        return super().claim(queues, limit, worker)

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        self._answer()
        return super().settle(outcomes)

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        self._answer()
        return super().heartbeat(worker)

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        self._answer()
        return super().rescue(limit, worker)


def refused(broker: Flaky, times: int) -> None:
    before = broker.refusals
    wait_until(lambda: broker.refusals >= before + times, "the worker meets the outage", timeout=SOON)


@pytest.mark.parametrize("number", [1, 8])
def test_outcomes_wait_and_arrive_when_the_store_is_back(number: int, caplog: pytest.LogCaptureFixture) -> None:
    broker = Flaky()
    with working(broker, OPTIONS, concurrency=8) as worker:
        jobs = [enqueued(broker, wait_for_go, each) for each in range(number)]
        wait_until(lambda: len(began) == number, "all begin", timeout=SOON)
        broker.is_down = True
        go.set()
        # Enough for the worker to suspect the outcomes themselves.
        refused(broker, 8)
        assert {stored(broker, job).status for job in jobs} == {TaskStatus.RUNNING}
        broker.is_down = False
        done = ended(broker, *jobs)
        late = ended(broker, enqueued(broker, give_back, "after it"))
    assert [job.result for job in done] == [str(each) for each in range(number)]
    assert {job.token for job in done} == {1}
    assert late[0].result == '"after it"'
    assert worker.succeeded == number + 1
    assert "did not answer" in caplog.text
    assert "answers again" in caplog.text


def test_an_idle_worker_lives_through_an_outage() -> None:
    broker = Flaky()
    with working(broker, OPTIONS):
        ended(broker, enqueued(broker, give_back, 1))
        broker.is_down = True
        refused(broker, 3)
        broker.is_down = False
        ended(broker, enqueued(broker, give_back, 2))


def test_a_worker_that_begins_in_an_outage_waits_for_the_store() -> None:
    broker = Flaky()
    job = enqueued(broker, give_back, 1)
    broker.is_down = True
    with working(broker, OPTIONS, burst=True):
        refused(broker, 3)
        broker.is_down = False
        ended(broker, job)


class Picky(MemoryBroker):
    """Refuses outcomes with a certain result, and with them whatever it is given at the same time."""

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        if any(isinstance(each, Succeeded) and "refuse me" in each.result for each in outcomes):
            raise ValueError("this store cannot take that")
        return super().settle(outcomes)


@pytest.mark.parametrize("number", [1, 3, 7])
def test_an_outcome_that_the_store_refuses_fails_alone(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reinhardt_tasks.worker.outages.PART_PAUSE", 0.1)
    broker = Picky(now=Clock(frozen=True))
    refused = broker.enqueue([job_for(give_back, "refuse me") for _ in range(number)])
    others = broker.enqueue([job_for(give_back, each) for each in range(5)])
    with working(broker, OPTIONS):
        assert {job.status for job in ended(broker, *others)} == {TaskStatus.SUCCESS}
        failed = ended(broker, *refused)
    assert {job.status for job in failed} == {TaskStatus.FAILURE}
    assert {job.history[-1].exception for job in failed} == {"reinhardt_tasks.exceptions.BackendError"}
    assert "this store cannot take that" in failed[0].history[-1].traceback


def test_what_the_store_refuses_takes_nothing_with_it_when_the_worker_stops() -> None:
    broker = Picky(now=Clock(frozen=True))
    with working(broker, OPTIONS, concurrency=2, shutdown_timeout=0.05) as worker:
        held = enqueued(broker, wait_for_go, 1)
        wait_until(lambda: began, "it begins", timeout=SOON)
        broker.enqueue([job_for(give_back, "refuse me")])
        wait_until(lambda: worker._ledger.outages.put_by == 1, "the other one is put off", timeout=SOON)
        worker.stop()
        wait_until(lambda: stored(broker, held).status is TaskStatus.PENDING, "it is given back", timeout=SOON)
        go.set()


class Parted(MemoryBroker):
    """Records the first outcome; the part that keeps the others is away."""

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        super().settle(outcomes[:1])
        raise PartlySettled("A part is away.", unsettled=outcomes[1:], lost=[])


def test_what_is_given_back_to_a_store_of_which_a_part_is_away_waits_for_that_part_alone() -> None:
    broker = Parted()
    worker = Worker(broker, OPTIONS, Door, WorkerConfig())
    broker.enqueue([job_for(give_back, number) for number in range(2)])
    first, second = broker.claim(None, 2, worker.info)
    worker._ledger.give_back([first, second], delay=0.0)
    assert stored(broker, first.job).status is TaskStatus.PENDING
    assert list(worker._ledger.held) == [second.job.id]
    assert (worker._ledger.outages.put_by, worker._ledger.ended, worker._ledger.outages.is_resting) == (1, [], False)


class PickyPart(Picky):
    """Its only part takes nothing of what it is given together with what it refuses."""

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        try:
            return super().settle(outcomes)
        except ValueError:
            raise PartlySettled("A part is away.", unsettled=outcomes, lost=[]) from None


def test_an_outcome_that_a_part_of_the_store_refuses_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reinhardt_tasks.worker.outages.PART_PAUSE", 0.1)
    broker = PickyPart(now=Clock(frozen=True))
    refused, *others = broker.enqueue([job_for(give_back, each) for each in ("refuse me", *range(5))])
    with working(broker, OPTIONS):
        assert {job.status for job in ended(broker, *others)} == {TaskStatus.SUCCESS}
        (failed,) = ended(broker, refused)
    assert failed.status is TaskStatus.FAILURE
    assert failed.history[-1].exception == "reinhardt_tasks.exceptions.BackendError"


class Away(MemoryBroker):
    """Takes no outcome, after `seconds` of trying, and says nothing of any job."""

    def __init__(self, seconds: float) -> None:
        super().__init__(now=Clock(frozen=True))
        self.seconds = seconds
        self.asked: list[str] = []

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        self.asked.append("settle")
        time.sleep(self.seconds)
        raise QueueError("no answer")

    def get(self, ids: Any) -> Any:
        self.asked.append("get")
        raise QueueError("no answer")


@pytest.mark.parametrize(("seconds", "asked"), [(0.2, ["settle"]), (0.0, ["settle", "get"])])
def test_a_store_that_is_away_is_asked_once_for_all_suspects(
    seconds: float, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer takes as long as a timeout, and the worker has others to see to."""
    monkeypatch.setattr("reinhardt_tasks.worker.outages.HANGS", 0.1)
    broker = Away(seconds)
    worker = WorkerInfo(id="worker", lease=QUICK_LEASE)
    broker.enqueue([job_for(give_back, number) for number in range(5)])
    outcomes = [Succeeded(claim=claim) for claim in broker.claim(None, 5, worker)]
    recorded, lost, left = Outages(broker, worker).sift(outcomes)
    assert (recorded, lost, broker.asked) == ([], [], asked)
    # Another one goes first the next time.
    assert left == [*outcomes[1:], outcomes[0]]


class Shaky(MemoryBroker):
    """Cuts the way of the first outcomes, and of nothing else."""

    def __init__(self, cuts: int) -> None:
        super().__init__(now=Clock(frozen=True))
        self.left = cuts

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        if outcomes and self.left:
            self.left -= 1
            raise QueueError("the connection was cut")
        return super().settle(outcomes)


def test_a_success_outlives_a_way_that_is_cut_again_and_again() -> None:
    # Three times together with what else there is, and two times three alone.
    broker = Shaky(cuts=9)
    with working(broker, OPTIONS):
        (job,) = ended(broker, enqueued(broker, give_back, "it ran"))
    assert broker.left == 0
    assert (job.status, job.result, job.history) == (TaskStatus.SUCCESS, '"it ran"', ())


class Forgetful(MemoryBroker):
    """Does what it is told, but the answers of the first calls are lost on the way."""

    def __init__(self, verb: str, lost: int = 1) -> None:
        super().__init__(now=Clock(frozen=True))
        self._verb = verb
        self.left = lost

    def _lose(self, verb: str) -> None:
        if verb == self._verb and self.left:
            self.left -= 1
            raise QueueError("the answer was lost")

    def claim(self, queues: Any, limit: int, worker: WorkerInfo) -> list[Claim]:
        claims = super().claim(queues, limit, worker)
        if claims:
            self._lose("claim")
        return claims

    def settle(self, outcomes: Sequence[Outcome]) -> list[Claim]:
        lost = super().settle(outcomes)
        self._lose("settle")
        return lost

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        claims = super().rescue(limit, worker)
        if claims:
            self._lose("rescue")
        return claims


def test_jobs_whose_claim_was_never_heard_of_run_all_the_same() -> None:
    """The store holds them for a worker that is alive: nobody else would ever rescue them."""
    broker = Forgetful("claim")
    jobs = [enqueued(broker, give_back, number) for number in range(3)]
    with working(broker, OPTIONS):
        done = ended(broker, *jobs)
    assert {job.status for job in done} == {TaskStatus.SUCCESS}
    assert {job.history for job in done} == {()}


def test_an_outcome_whose_answer_was_lost_is_recorded_once() -> None:
    broker = Forgetful("settle")
    with working(broker, OPTIONS):
        (done,) = ended(broker, enqueued(broker, give_back, 1))
        (late,) = ended(broker, enqueued(broker, give_back, 2))
    assert (done.result, late.result) == ("1", "2")
    assert (done.token, late.token) == (1, 1)


@pytest.mark.parametrize("verb", ["rescue", "settle"])
def test_what_was_rescued_without_an_answer_runs_all_the_same(verb: str) -> None:
    broker = Forgetful(verb, lost=0)
    gone = WorkerInfo(id="gone", lease=QUICK_LEASE)
    job = enqueued(broker, give_back, 1)
    broker.claim(None, 1, gone)
    broker.leave(gone)
    broker.left = 1
    with working(broker, OPTIONS):
        (done,) = ended(broker, job)
    assert done.status is TaskStatus.SUCCESS


class DownWhileSettling(Flaky):
    """Goes down once, between a rescue and what was decided about it."""

    has_been_down = False

    def rescue(self, limit: int, worker: WorkerInfo) -> list[Claim]:
        claims = super().rescue(limit, worker)
        if claims and not self.has_been_down:
            self.has_been_down = self.is_down = True
        return claims


def test_a_rescue_that_was_interrupted_is_finished() -> None:
    broker = DownWhileSettling()
    gone = WorkerInfo(id="gone", lease=QUICK_LEASE)
    job = enqueued(broker, give_back, 1)
    broker.claim(None, 1, gone)
    broker.leave(gone)
    with working(broker, OPTIONS):
        refused(broker, 3)
        broker.is_down = False
        (done,) = ended(broker, job)
    assert done.status is TaskStatus.SUCCESS
