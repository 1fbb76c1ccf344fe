"""Many processes on one Redis, forked or not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from reinhardt_tasks.jobs import TaskStatus
from tests.databases import environment_for_processes
from tests.servers import RedisServer, wait_until

from .promises.base import ids_of, new_job, new_worker
from .redis_makers import Make, make

__all__ = ["make"]


def test_parent_and_forked_child_each_get_their_own_answers(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url)
    broker.enqueue([new_job(queue="warm up")])
    heard: list[bool] = []
    sleeper = threading.Thread(target=lambda: heard.append(broker.wait(["parents"], 60)))
    sleeper.start()
    wait_until(lambda: broker.sleepers.connections, "the parent waits")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        words = b"failed"
        with suppress(BaseException):
            is_woken = broker.wait(["childs"], 60)
            claims = broker.claim(["childs"], 9, new_worker("child"))
            words = f"{is_woken} {' '.join(ids_of(claims))}".encode()
        os.write(writer, words)
        os._exit(0)
    os.close(writer)
    for_child = [new_job(queue="childs") for _ in range(2)]
    broker.enqueue(for_child)
    with os.fdopen(reader, "rb") as pipe:
        words = pipe.read().decode()
    os.waitpid(child, 0)
    assert words == f"True {' '.join(ids_of(for_child))}"
    assert heard == []
    (job,) = broker.enqueue([new_job(queue="parents")])
    sleeper.join(60)
    assert heard == [True]
    assert ids_of(broker.claim(["parents"], 9, new_worker())) == [job.id]


def test_each_job_is_claimed_by_one_of_eight_processes(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url)
    jobs = broker.enqueue([new_job(queue=f"q{number % 3}", priority=number % 5) for number in range(400)])
    command = [sys.executable, "-m", "tests.brokers.redis_competitor", redis_server.url, broker.base]
    with ExitStack() as stack:
        processes = []
        for _ in range(8):
            process = subprocess.Popen(
                command,
                cwd=Path(__file__).parents[2],
                env=environment_for_processes(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        settled = [id_ for process in processes for id_ in process.communicate(timeout=120)[0].split()]
    assert sorted(settled) == ids_of(jobs)
    assert {(job.status, job.token) for job in broker.get(settled).values()} == {(TaskStatus.SUCCESS, 1)}
