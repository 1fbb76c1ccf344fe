"""Real workers on a real Redis are killed in the middle of their work, and so is the Redis: no task is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import TaskStatus
from tests import tasks
from tests.servers import RedisServer, ServerMissing, wait_until
from tests.worker.processes import workers

from .test_killed_workers import LEASE, NUMBER, Runs, enqueue, settled

BACKEND = "reinhardt_tasks.backends.RedisBackend"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    try:
        server = RedisServer(own=True, appendonly=True)
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
def setting(request: pytest.FixtureRequest, server: RedisServer, settings: Any) -> dict[str, Any]:
    options = {"URL": server.url, "LEASE": LEASE, "SHARDS": request.param}
    settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": options}}
    return dict(settings.TASKS)


def test_no_task_is_lost_when_workers_are_killed(setting: dict[str, Any], runs: Runs) -> None:
    results = enqueue(runs)
    with workers(2, "--concurrency", "2", tasks=setting) as (victim, survivor):
        runs.done(NUMBER // 4)
        runs.kill_in_the_middle(victim)
        jobs = settled(results)
        survivor.terminate()
        assert survivor.ended() == 0, survivor.stderr
    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    assert set(runs.ended) == set(range(NUMBER))
    rescued = {job.id for job in jobs if job.losses}
    cut_off = runs.cut_off(victim.process.pid)
    number_of = {result.id: result.args[1] for result in results}
    assert cut_off
    assert cut_off <= {number_of[id_] for id_ in rescued}
    assert all(job.history == () for job in jobs if job.id not in rescued)


def test_workers_outlive_their_redis(setting: dict[str, Any], server: RedisServer, runs: Runs) -> None:
    results = enqueue(runs)
    with workers(2, "--concurrency", "2", tasks=setting) as processes:
        for share in (1, 2):
            runs.done(NUMBER * share // 4)
            said = [each.stderr for each in processes]
            server.kill()
            wait_until(
                lambda said=said: all(each.stderr != was for each, was in zip(processes, said, strict=True)),
                "all meet it",
            )
            server.start()
        jobs = settled(results)
        settled([tasks.note_around.enqueue(str(runs.path), NUMBER, 0)])
        for each in processes:
            each.terminate()
        assert [each.ended() for each in processes] == [0, 0], processes[0].stderr
    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    assert set(runs.ended) == set(range(NUMBER + 1))


@pytest.mark.parametrize("setting", [1], indirect=True)
def test_redis_and_worker_killed_at_once_lose_nothing(setting: dict[str, Any], server: RedisServer, runs: Runs) -> None:
    results = enqueue(runs)
    for share in (1, 2):
        with workers(1, "--concurrency", "2", tasks=setting) as (victim,):
            runs.done(NUMBER * share // 4)
            server.kill()
            victim.kill()
        server.start()
    with workers(1, "--concurrency", "2", tasks=setting):
        jobs = settled(results)
    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    assert set(runs.ended) == set(range(NUMBER))
    assert task_backends["default"].broker.counts() == []
