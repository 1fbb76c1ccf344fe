"""Code at any depth of a task can ask which task it is in, and whether that was told to stop; log records say it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.contexts import get_current_context
from reinhardt_tasks.exceptions import TaskCancelled
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.logs import TaskFilter
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker.logs import JsonFormatter

from .worker.running import ended, enqueued, working

logger = logging.getLogger("tests.contexts")


def _whoami() -> list[str]:
    context = get_current_context()
    assert context is not None
    logger.warning("deep inside")
    return [context.task_result.id, context.task_result.task.module_path]


@task
def tell_who() -> list[str]:
    return _whoami()


@task
async def tell_who_later() -> list[str]:
    before = _whoami()
    await asyncio.sleep(0.01)
    assert _whoami() == before
    return before


@task(max_attempts=1)
def wait_to_be_stopped() -> None:
    context = get_current_context()
    assert context is not None
    _begun.set()
    # In C code, where nothing can be raised.
    while not context.cancel_requested:
        _never.wait(0.05)
    context.heartbeat()


_begun, _never = threading.Event(), threading.Event()


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(TaskFilter())
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_outside_of_tasks_there_is_none() -> None:
    assert get_current_context() is None


def test_functions_and_coroutines_know_which_task_they_are_in(broker: MemoryBroker) -> None:
    with working(broker, BackendOptions()):
        jobs = [enqueued(broker, each) for each in (tell_who, tell_who_later) for _ in range(5)]
        done = ended(broker, *jobs)
    assert [json.loads(job.result or "") for job in done] == [[job.id, job.name] for job in jobs]
    assert get_current_context() is None


def test_log_records_say_which_task_they_come_from(broker: MemoryBroker, lines: io.StringIO) -> None:
    logger.warning("outside")
    with working(broker, BackendOptions()):
        job = enqueued(broker, tell_who)
        ended(broker, job)
    outside, inside = map(json.loads, lines.getvalue().splitlines())
    assert "task_id" not in outside
    assert (inside["task_id"], inside["task_name"], inside["task_attempt"], inside["task_queue"]) == (
        job.id,
        job.name,
        1,
        "default",
    )


def test_a_task_can_ask_whether_it_was_told_to_stop(broker: MemoryBroker) -> None:
    _begun.clear()
    with working(broker, BackendOptions()):
        job = enqueued(broker, wait_to_be_stopped)
        assert _begun.wait(30)
        broker.cancel([job.id])
        (done,) = ended(broker, job)
    assert done.status is TaskStatus.CANCELLED
    assert done.history[-1].exception.endswith(TaskCancelled.__name__)
