"""Real workers on real databases are killed in the middle of their work, and so is the database: no task is lost.

What ran is read from a file to which each run of a task adds its lines, so that it is counted whatever the queue says.
REINHARDT_TEST_TASKS_NUMBER makes it more than the few hundred that a daily run can afford.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import TaskStatus
from tests import databases, tasks
from tests.servers import PostgresServer, ServerMissing, wait_until
from tests.worker.processes import WorkerProcess, tasks_on, workers

NUMBER = int(os.environ.get("REINHARDT_TEST_TASKS_NUMBER", "400"))
#: Seconds of one task: long enough that some run whenever a worker is killed.
SECONDS = 0.02
LEASE = 2.0
#: Seconds in which all is done, by far.
DONE_WITHIN = 240.0


class Runs:
    """What the runs of tasks wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _numbers(self, word: str) -> list[tuple[int, int]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        words = [line.split() for line in lines]
        return [(int(number), int(pid)) for what, number, pid in words if what == word]

    @property
    def began(self) -> Counter[int]:
        return Counter(number for number, _ in self._numbers("began"))

    @property
    def ended(self) -> Counter[int]:
        return Counter(number for number, _ in self._numbers("ended"))

    def cut_off(self, pid: int) -> set[int]:
        """Return the tasks that a process began and did not end."""
        return {number for number, by in self._numbers("began") if by == pid} - {
            number for number, by in self._numbers("ended") if by == pid
        }

    def kill_in_the_middle(self, victim: WorkerProcess) -> None:
        """Kill a worker that is running something; it is held still while that is looked at."""

        def is_in_the_middle() -> bool:
            victim.process.send_signal(signal.SIGSTOP)
            if self.cut_off(victim.process.pid):
                return True
            victim.process.send_signal(signal.SIGCONT)
            return False

        wait_until(is_in_the_middle, "the worker runs something", timeout=DONE_WITHIN, interval=0.01)
        victim.kill()

    def done(self, number: int) -> None:
        """Return when so many tasks have ended at least once."""
        wait_until(lambda: len(self.ended) >= number, f"{number} tasks end", timeout=DONE_WITHIN, interval=0.05)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs")


@pytest.fixture
def setting(database_alias: str, settings: Any) -> Iterator[dict[str, Any]]:
    settings.TASKS = tasks_on(database_alias, LEASE=LEASE)
    yield settings.TASKS
    task_backends["default"].broker.close()


def enqueue(runs: Runs) -> list[Any]:
    return tasks.note_around.enqueue_many([((str(runs.path), number, SECONDS), {}) for number in range(NUMBER)])


def settled(results: list[Any]) -> list[Any]:
    """Return the jobs once none of them waits or runs."""
    broker = task_backends["default"].broker
    ids = [result.id for result in results]

    def all_finished() -> bool:
        return all(job.status.is_finished for job in broker.get(ids).values())

    wait_until(all_finished, "all tasks are finished", timeout=DONE_WITHIN, interval=0.1)
    found = broker.get(ids)
    assert len(found) == len(ids)
    return list(found.values())


def no_lock_troubles(processes: list[WorkerProcess], jobs: list[Any]) -> None:
    texts = [each.stderr for each in processes] + [attempt.traceback for job in jobs for attempt in job.history]
    assert not [text for text in texts if "database is locked" in text]


def test_no_task_is_lost_when_a_worker_is_killed(setting: dict[str, Any], runs: Runs, record_property: Any) -> None:
    results = enqueue(runs)
    with workers(2, "--concurrency", "4", tasks=setting) as (victim, survivor):
        runs.done(NUMBER // 4)
        runs.kill_in_the_middle(victim)
        jobs = settled(results)
        survivor.terminate()
        assert survivor.ended() == 0, survivor.stderr
        no_lock_troubles([victim, survivor], jobs)
        logged = survivor.stderr

    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    assert set(runs.ended) == set(range(NUMBER))
    # Held but not begun, or ended but not yet recorded, are rescued as well as what was cut off.
    rescued = {job.id for job in jobs if job.losses}
    twice = {number for number, times in runs.began.items() if times > 1}
    number_of = {result.id: result.args[1] for result in results}
    cut_off = runs.cut_off(victim.process.pid)
    print(f"{NUMBER} tasks: {len(cut_off)} cut off, {len(rescued)} rescued, {len(twice)} run twice")
    record_property("run twice", len(twice))
    assert cut_off
    assert cut_off <= twice <= {number_of[id_] for id_ in rescued}
    assert max(runs.began.values()) <= 2
    # As many as one worker can hold: its slots, and what is claimed ahead of short tasks.
    assert len(rescued) <= 4 + 4 * 0.05 / SECONDS + 4
    assert logged.count("runs again: worker") == len(rescued)


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_a_worker_that_is_killed_again_and_again_loses_nothing(setting: dict[str, Any], runs: Runs) -> None:
    results = enqueue(runs)
    for share in (1, 2, 3):
        with workers(1, tasks=setting) as (victim,):
            runs.done(NUMBER * share // 4)
            victim.kill()
    with workers(1, tasks=setting):
        jobs = settled(results)
    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    assert set(runs.ended) == set(range(NUMBER))


@pytest.mark.parametrize("database_alias", ["sqlite"], indirect=True)
def test_four_processes_share_one_sqlite_file(setting: dict[str, Any], runs: Runs) -> None:
    results = enqueue(runs)
    with workers(4, "--concurrency", "2", tasks=setting) as processes:
        jobs = settled(results)
        for each in processes:
            each.terminate()
        assert [each.ended() for each in processes] == [0] * 4
        no_lock_troubles(processes, jobs)
        assert not [line for each in processes for line in each.stderr.splitlines() if " WARNING " in line]
    assert {(job.status, job.history) for job in jobs} == {(TaskStatus.SUCCESS, ())}
    assert set(runs.began.values()) == {1}
    assert len({job.worker for job in jobs}) == 4


@pytest.fixture
def own_postgres(django_db_blocker: Any) -> Iterator[PostgresServer]:
    """A server that may be killed, with tables, as the database `mortal`."""
    try:
        server = PostgresServer(own=True)
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with server:
        server.create_database("mortal")
        with databases.added("mortal", server.settings_of("mortal"), django_db_blocker), django_db_blocker.unblock():
            yield server


def test_a_worker_outlives_its_database(own_postgres: PostgresServer, runs: Runs, settings: Any) -> None:
    from django.db import connections

    settings.TASKS = tasks_on("mortal", LEASE=LEASE)
    broker = task_backends["default"].broker
    results = enqueue(runs)
    with workers(2, "--concurrency", "4", tasks=settings.TASKS) as processes:
        for share in (1, 2):
            runs.done(NUMBER * share // 4)
            broker.close()
            own_postgres.kill()
            for each in processes:
                each.says("did not answer", times=share)
            own_postgres.start()
            connections["mortal"].close()
            for each in processes:
                each.says("answers again", times=share)
        jobs = settled(results)
        late = tasks.note_around.enqueue(str(runs.path), NUMBER, 0)
        settled([late])
        assert all(each.is_running for each in processes)
        for each in processes:
            each.terminate()
        assert [each.ended() for each in processes] == [0, 0], processes[0].stderr
    broker.close()
    assert {job.status for job in jobs} == {TaskStatus.SUCCESS}
    assert set(runs.ended) == set(range(NUMBER + 1))
    doubles = sum(times > 1 for times in runs.began.values())
    print(f"{NUMBER} tasks, PostgreSQL killed twice: {doubles} run twice")
