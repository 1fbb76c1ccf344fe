"""What `dequeue` gave out and this process remembers: the newest claim of each job, and no end of forgotten ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks.backends import dequeued
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Claim, new_id
from tests.brokers.promises.base import new_job

FUTURE = float("inf")


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dequeued, "_held", {})
    monkeypatch.setattr(dequeued, "KEPT", 2)
    yield


def kept(token: int = 1, id_: str | None = None, ends_at: float = 0.0) -> str:
    job = new_job(id=id_ or new_id())
    dequeued.keep("default", dequeued.Held(Claim(job=job, token=token, worker="w"), 1, ends_at))
    return job.id


def test_a_claim_is_taken_once() -> None:
    id_ = kept()
    assert dequeued.take("other", id_) is None
    assert dequeued.take("default", id_) is not None
    assert dequeued.take("default", id_) is None


@pytest.mark.parametrize("tokens", [(1, 2), (2, 1)])
def test_the_newest_claim_of_a_job_is_kept(tokens: tuple[int, int]) -> None:
    id_ = new_id()
    for token in tokens:
        kept(token, id_)
    held = dequeued.take("default", id_)
    assert held is not None
    assert held.claim.token == 2


def test_claims_whose_lease_has_ended_are_not_kept_without_end() -> None:
    ids = [kept() for _ in range(4)]
    assert [dequeued.take("default", id_) is not None for id_ in ids] == [False, False, True, True]


def test_claims_under_a_lease_are_all_kept() -> None:
    ids = [kept(ends_at=FUTURE) for _ in range(4)]
    assert all(dequeued.take("default", id_) for id_ in ids)


def test_a_claim_whose_answer_was_lost_is_renewed_by_no_other_call() -> None:
    class Lost(MemoryBroker):
        is_lost = True
        workers_told: list[str] = []

        def claim(self, queues: Any, limit: Any, worker: WorkerInfo) -> list[Claim]:
            self.workers_told.append(worker.id)
            if self.is_lost:
                raise QueueError("The answer was lost.")
            return super().claim(queues, limit, worker)

    broker = Lost()
    with pytest.raises(QueueError):
        dequeued.dequeue("default", broker, None, 30)
    broker.is_lost = False
    for _ in range(2):
        assert dequeued.dequeue("default", broker, None, 30) is None
    lost, *others = broker.workers_told
    assert lost not in others and len(set(others)) == 1
