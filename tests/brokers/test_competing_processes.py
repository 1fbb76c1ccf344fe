"""Processes of their own compete for the jobs of one database: each job succeeds once, whoever is killed meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import accumulate
from pathlib import Path

import pytest

from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.gates import Limit
from reinhardt_tasks.jobs import Job, TaskStatus
from tests.databases import environment_for_processes

from .promises.base import ids_of, new_job, new_worker

PROCESSES = 8

Start = Callable[[int, float], list[subprocess.Popen[str]]]


@pytest.fixture
def start(database_alias: str) -> Iterator[Start]:
    """Start competitors, and return when all of them are ready to begin."""
    with ExitStack() as stack:

        def start(number: int, lease: float) -> list[subprocess.Popen[str]]:
            command = [sys.executable, "-m", "tests.brokers.competitor", database_alias, str(lease)]
            processes = []
            for _ in range(number):
                process = subprocess.Popen(
                    command,
                    cwd=Path(__file__).parents[2],
                    env=environment_for_processes(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                stack.callback(_end, process)
                processes.append(process)
            for process in processes:
                assert process.stdout.readline() == "ready\n"
            return processes

        yield start


def test_each_job_is_settled_by_one_of_eight_processes(database_alias: str, start: Start) -> None:
    broker = DatabaseBroker("default", database_alias)
    jobs = broker.enqueue([new_job(queue=f"q{number % 3}", priority=number % 5) for number in range(400)])
    processes = start(PROCESSES, 60)
    for process in processes:
        _tell(process, "go")

    settled = [id_ for process in processes for id_ in _ended(process)]

    assert sorted(settled) == ids_of(jobs)
    found = broker.get(ids_of(jobs)).values()
    assert {(job.status, job.token) for job in found} == {(TaskStatus.SUCCESS, 1)}
    broker.close()


def test_what_killed_processes_held_is_rescued_by_one_of_the_others(database_alias: str, start: Start) -> None:
    broker = DatabaseBroker("default", database_alias)
    jobs = broker.enqueue([new_job() for _ in range(60)])
    held: list[str] = []
    for victim in start(2, 3):
        _tell(victim, "hold")
        held += victim.stdout.readline().split()
        victim.kill()
    assert len(held) == len(set(held)) == 20
    processes = start(3, 60)
    for process in processes:
        _tell(process, "go")

    settled = [id_ for process in processes for id_ in _ended(process)]

    assert sorted(settled) == ids_of(jobs)
    found = broker.get(ids_of(jobs))
    assert {job.status for job in found.values()} == {TaskStatus.SUCCESS}
    assert {id_ for id_, job in found.items() if job.token == 2} == set(held)
    broker.close()


def test_a_concurrency_key_holds_over_processes_and_kills(database_alias: str, start: Start) -> None:
    broker = DatabaseBroker("default", database_alias)
    limits = (Limit(key="api", size=2),)
    jobs = broker.enqueue([new_job(limits=limits) for _ in range(30)])
    (victim,) = start(1, 3)
    _tell(victim, "hold")
    held = victim.stdout.readline().split()
    victim.kill()
    assert held == ids_of(jobs[:2])
    # It may be running still, for all that anybody knows.
    assert broker.claim(None, 10, new_worker()) == []
    processes = start(2, 60)
    for process in processes:
        _tell(process, "go")

    settled = [id_ for process in processes for id_ in _ended(process)]

    assert sorted(settled) == ids_of(jobs)
    found = broker.get(settled).values()
    assert {job.status for job in found} == {TaskStatus.SUCCESS}
    # What the victim held is left out: it began while that was alive.
    assert _most_at_once([job for job in found if job.token == 1]) <= 2
    broker.close()


def test_a_rate_holds_over_processes(database_alias: str, start: Start) -> None:
    broker = DatabaseBroker("default", database_alias)
    step = timedelta(milliseconds=150)
    limits = (Limit(key="api", size=1, every=150_000),)
    jobs = broker.enqueue([new_job(limits=limits) for _ in range(10)])
    processes = start(2, 60)
    for process in processes:
        _tell(process, "go")

    settled = [id_ for process in processes for id_ in _ended(process)]

    assert sorted(settled) == ids_of(jobs)
    starts = sorted(job.started_at for job in broker.get(settled).values())
    assert min(later - earlier for earlier, later in zip(starts, starts[1:], strict=False)) >= step
    broker.close()


def test_processes_that_enqueue_unique_jobs_lose_none(database_alias: str, start: Start) -> None:
    broker = DatabaseBroker("default", database_alias)
    processes = start(4, 60)
    for process in processes:
        _tell(process, "unique")

    answered = {id_ for process in processes for id_ in _ended(process)}

    found = broker.get(answered)
    assert set(found) == answered
    assert {(job.status, job.token) for job in found.values()} == {(TaskStatus.SUCCESS, 1)}
    assert _most_at_once(list(found.values())) == 1
    broker.close()


def _most_at_once(jobs: Sequence[Job]) -> int:
    """Return how many of these jobs ran at one time, by the store's clock."""
    moments = [(job.started_at, 1) for job in jobs] + [(job.finished_at, -1) for job in jobs]
    return max(accumulate(change for _, change in sorted(moments)))


def _tell(process: subprocess.Popen[str], word: str) -> None:
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def _ended(process: subprocess.Popen[str]) -> list[str]:
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return printed.split()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
