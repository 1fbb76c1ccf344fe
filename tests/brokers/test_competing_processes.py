"""Processes of their own compete for the jobs of one database: each job succeeds once, whoever is killed meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reinhardt_tasks.brokers.database import DatabaseBroker
from reinhardt_tasks.jobs import TaskStatus
from tests.databases import environment_for_processes

from .promises.base import ids_of, new_job

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
