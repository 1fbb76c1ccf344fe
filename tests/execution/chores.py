"""Tasks that return, raise and misbehave, and how the tests run one claim of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from reinhardt_tasks.exceptions import TaskCancelled
from reinhardt_tasks.execution import Execution
from reinhardt_tasks.jobs import Attempt, Claim, Job, Outcome, TaskStatus
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.registry import registry
from reinhardt_tasks.tasks import task
from tests.worker.running import Door, job_for

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LOSS = Attempt(worker="gone", started_at=NOON, finished_at=NOON, exception="WorkerLost", traceback="", lost=True)
FAILURE = replace(LOSS, lost=False)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class NotOurs(Exception):
    pass


@task
def give_back(value: Any) -> Any:
    return value


@task
async def give_back_later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


@task
def give_back_odd(kind: str) -> Any:
    endless: list[Any] = []
    endless.append(endless)
    return {"a set": {1, 2}, "not a number": float("nan"), "a key": {1: 2}, "a ring": endless, "an object": object()}[
        kind
    ]


def raised(kind: str) -> BaseException:
    return {
        "ValueError": ValueError("no"),
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "GeneratorExit": GeneratorExit(),
        "CancelledError": asyncio.CancelledError(),
        "MemoryError": MemoryError(),
        "BaseException": BaseException("at the root"),
        "NotOurs": NotOurs("somebody else's"),
        "Unspeakable": Unspeakable(),
        "surrogate and NUL": ValueError("half \ud800 and \x00"),
        "huge": ValueError("x" * 50_000_000),
        "TaskCancelled": TaskCancelled("the task's own"),
    }[kind]


@task
def fail(kind: str = "ValueError") -> None:
    raise raised(kind)


@task
async def fail_later(kind: str = "ValueError") -> None:
    await asyncio.sleep(0)
    raise raised(kind)


def claim_of(task_: Any, *args: Any, history: tuple[Attempt, ...] = (), **kwargs: Any) -> Claim:
    return held(replace(job_for(task_, *args, **kwargs), history=history))


def held(job: Job, **values: Any) -> Claim:
    facts = {"status": TaskStatus.RUNNING, "token": 1, "worker": "me", "enqueued_at": NOON, "started_at": NOON}
    return Claim(job=replace(job, **{**facts, **values}), token=1, worker="me")


def execution_of(claim: Claim, options: BackendOptions | None = None, **kwargs: Any) -> Execution:
    return Execution(claim, options or BackendOptions(), Door, **kwargs)


def run(claim: Claim, options: BackendOptions | None = None, **kwargs: Any) -> Outcome:
    execution = execution_of(claim, options, **kwargs)
    is_coroutine = registry.has(claim.job.name) and asyncio.iscoroutinefunction(registry.get(claim.job.name).func)
    return asyncio.run(execution.arun()) if is_coroutine else execution.run()
