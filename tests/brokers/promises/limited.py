"""What the promises about limits are tested with: limits, unique jobs, and the ways in which an attempt ends."""

from __future__ import annotations

from typing import Any

from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.gates import Limit, Until
from reinhardt_tasks.jobs import Cancelled, Failed, Job, Outcome, Released, Retrying, Succeeded

from .base import (
    LONG,
    attempt_of,
    ids_of,
    new_job,
    new_worker,
)

#: Seconds between two starts, where a test waits for them.
STEP = 0.25

OUTCOMES = {
    "success": lambda claim: Succeeded(claim=claim),
    "failure": lambda claim: Failed(claim=claim, attempt=attempt_of(claim)),
    "cancelled": lambda claim: Cancelled(claim=claim, attempt=attempt_of(claim)),
}
BACK = {
    "retry now": lambda claim: Retrying(claim=claim, attempt=attempt_of(claim)),
    "retry later": lambda claim: Retrying(claim=claim, attempt=attempt_of(claim), delay=LONG),
    "released": lambda claim: Released(claim=claim),
    "released for later": lambda claim: Released(claim=claim, delay=LONG),
}


def one_of(key: str = "key", size: int = 1) -> tuple[Limit, ...]:
    return (Limit(key=key, size=size),)


def paced(key: str = "rate", step: float = STEP, burst: int = 1) -> tuple[Limit, ...]:
    return (Limit(key=key, size=burst, every=int(step * 1_000_000)),)


def unique(until: Until = Until.FINISHED, **values: Any) -> Job:
    return new_job(once_key="unique", once_until=until, **values)


def due_now(broker: Broker, limit: int = 100) -> list[str]:
    return ids_of(broker.claim(None, limit, new_worker()))


def settled(broker: Broker, *outcomes: Outcome) -> None:
    assert broker.settle(outcomes) == []
