"""A Redis that dies, hangs, or forgets everything: nobody waits for ever, no task is lost, and the error says what to do."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import TaskStatus
from tests.servers import RedisServer, wait_until
from tests.worker.running import job_for, working

from .promises.base import new_job
from .redis_makers import Make, make
from .redis_stage import (
    DEADLINE,
    OPTIONS,
    QUICK,
    accepted,
    all_ended,
    count,
    count_and_wait,
    counting,
    go,
    new_stage,
    own_server,
    ran,
)

__all__ = ["make", "new_stage", "own_server"]

SLOW = pytest.mark.skipif(os.environ.get("REINHARDT_TESTS_SLOW") != "1", reason="slow: set REINHARDT_TESTS_SLOW=1")


def test_a_server_killed_while_a_worker_drains_loses_nothing(own_server: RedisServer, make: Make) -> None:
    broker = make(own_server.url)
    jobs = counting(400)
    broker.enqueue(jobs)
    with working(make(own_server.url), OPTIONS):
        for number in (1, 2):
            wait_until(lambda least=number * 60: len(ran) > least, "some have run", interval=0.001)
            own_server.kill()
            with pytest.raises(QueueError, match="Is it running, and can this machine reach it"):
                broker.enqueue([new_job()])
            own_server.start()
        done = all_ended(broker, jobs)
        (late,) = broker.enqueue([job_for(count, 999)])
        all_ended(broker, [late])
    assert {job.status for job in done} == {TaskStatus.SUCCESS}
    assert [job.result for job in done] == [str(number) for number in range(400)]
    assert len(ran) == 401


def _paused(server: RedisServer, seconds: float) -> None:
    with server.client() as client:
        client.client_pause(int(seconds * 1000), all=True)


def _stopped(server: RedisServer, seconds: float) -> None:
    server.pause()
    timer = threading.Timer(seconds, server.resume)
    timer.daemon = True
    timer.start()


@pytest.mark.parametrize("seconds", [6, pytest.param(20, marks=[pytest.mark.slow, SLOW])])
@pytest.mark.parametrize("hang", [_paused, _stopped])
def test_a_server_that_hangs_for_a_while_holds_nobody_for_ever(
    hang: Any, seconds: float, own_server: RedisServer, make: Make
) -> None:
    broker = make(own_server.url)
    with working(make(own_server.url), OPTIONS):
        all_ended(broker, broker.enqueue([job_for(count, 7)]))
        jobs = broker.enqueue(counting(2, count_and_wait))
        wait_until(lambda: len(ran) == 3, "the tasks begin")
        hang(own_server, seconds)
        go.set()
        late = counting(3)
        accepted(broker, late)
        done = all_ended(broker, jobs + late)
    assert {(job.status, job.history) for job in done} == {(TaskStatus.SUCCESS, ())}


def test_a_caller_is_told_of_a_server_that_hangs(own_server: RedisServer, make: Make) -> None:
    broker = make(own_server.url, kwargs={"socket_timeout": 0.1})
    broker.enqueue([new_job()])
    errors: list[QueueError] = []

    def sleep() -> None:
        try:
            broker.wait(["nothing"], 1.0)
        except QueueError as exc:
            errors.append(exc)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    wait_until(lambda: broker.sleepers.connections, "somebody sleeps")
    own_server.pause()
    try:
        with pytest.raises(QueueError, match="Is it running|[Tt]imeout"):
            broker.enqueue([new_job()])
        with pytest.raises(QueueError):
            asyncio.run(broker.aenqueue([new_job()]))
        # Who sleeps has no such timeout, but does not sleep for ever.
        sleeper.join(DEADLINE)
        assert len(errors) == 1
    finally:
        own_server.resume()
    accepted(broker, [new_job()])


def test_a_worker_lives_on_when_everything_is_flushed(own_server: RedisServer, make: Make) -> None:
    broker = make(own_server.url)
    with working(make(own_server.url), QUICK):
        broker.enqueue(counting(2, count_and_wait))
        wait_until(lambda: len(ran) == 2, "the tasks begin")
        with own_server.client() as client:
            client.flushall()
        go.set()
        done = all_ended(broker, broker.enqueue([job_for(count, number) for number in range(5, 9)]))
        assert {job.status for job in done} == {TaskStatus.SUCCESS}
        wait_until(lambda: [each.info.slots for each in broker.workers()] == [4], "the worker signs in again")
