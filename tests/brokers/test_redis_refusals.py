"""A Redis that refuses: it is full, a replica, or wants a password. The error says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from reinhardt_tasks.brokers.redis import faults
from reinhardt_tasks.exceptions import JobsRefused, QueueError
from reinhardt_tasks.jobs import Job, Progress, Released, Retrying, Succeeded, TaskStatus
from reinhardt_tasks.tasks import task
from tests.servers import RedisServer, wait_until
from tests.worker.running import job_for, working

from .promises.base import attempt_of, ids_of, new_job, new_worker, signed_in
from .redis_makers import Make, make
from .redis_stage import QUICK, all_ended, counting, new_stage, own_server, ran

__all__ = ["make", "new_stage", "own_server"]


@pytest.fixture
def full_server(make: Make) -> Iterator[tuple[RedisServer, Any, list[Job]]]:
    """A server whose memory is full of jobs."""
    with RedisServer(own=True, config=["maxmemory-policy noeviction"]) as server, server.client() as client:
        broker = make(server.url)
        broker.heartbeat(signed_in(broker))
        jobs = counting(200)
        broker.enqueue(jobs)
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 1)
        yield server, broker, jobs


def test_a_full_server_says_so_and_is_drained_all_the_same(
    full_server: tuple[RedisServer, Any, list[Job]], make: Make
) -> None:
    server, broker, jobs = full_server
    with pytest.raises(QueueError, match="raise maxmemory"):
        broker.enqueue([new_job()])
    with pytest.raises(QueueError, match="raise maxmemory"):
        asyncio.run(broker.aenqueue([new_job()]))
    with working(make(server.url), QUICK):
        done = all_ended(broker, jobs)
    # Some may have been claimed ahead and given back: that each ran once is what counts.
    assert {(job.status, job.history) for job in done} == {(TaskStatus.SUCCESS, ())}
    assert set(ran.values()) == {1}
    with pytest.raises(QueueError, match="raise maxmemory"):
        broker.enqueue([new_job()])


def test_whoever_holds_a_job_gets_through_to_a_full_server(full_server: tuple[RedisServer, Any, list[Job]]) -> None:
    _, broker, _ = full_server
    worker = new_worker()
    broker.heartbeat(worker)
    claims = broker.claim(None, 7, worker)
    assert len(claims) == 7
    assert broker.annotate(claims[0], {"step": 1}, Progress(1, 2))
    assert broker.cancel([claims[1].job.id]) == [claims[1].job.id]
    assert broker.heartbeat(worker).cancelled == {claims[1].job.id}
    outcomes = [
        Succeeded(claim=claims[0]),
        Retrying(claim=claims[2], attempt=attempt_of(claims[2])),
        Retrying(claim=claims[3], attempt=attempt_of(claims[3]), delay=60),
        Released(claim=claims[4]),
    ]
    assert broker.settle(outcomes) == []
    broker.leave(worker)
    rescued = broker.rescue(9, new_worker())
    assert sorted(ids_of(rescued)) == sorted(ids_of([claims[1], claims[5], claims[6]]))


def test_a_replica_is_told_from_a_master(own_server: RedisServer, make: Make) -> None:
    follow = [f"replicaof {own_server.host} {own_server.port}", "replica-serve-stale-data no"]
    with RedisServer(own=True, config=follow) as replica, replica.client() as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica follows")
        broker = make(replica.url)
        with pytest.raises(QueueError, match="let OPTIONS name the master"):
            broker.enqueue([new_job()])
        (job,) = make(own_server.url).enqueue([new_job()])
        wait_until(lambda: broker.get([job.id]), "the replica has it")
        own_server.kill()
        wait_until(lambda: client.info("replication")["master_link_status"] == "down", "the replica is alone")
        with pytest.raises(QueueError, match="wait for the failover"):
            broker.get([job.id])


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_password_that_is_wrong_or_missing_is_named_and_not_shown(password: str, make: Make) -> None:
    with RedisServer(own=True, password="right") as server:
        given = f":{password}@" if password else ""
        broker = make(server.url.replace(":right@", given))
        for verb in (lambda: broker.enqueue([new_job()]), lambda: broker.get(["x"]), lambda: broker.wait(None, 1)):
            with pytest.raises(QueueError, match="password") as caught:
                verb()
            assert "wrong" not in str(caught.value)
        assert make(server.url).enqueue([new_job()])


@task
def give_back_letters(number: int) -> str:
    return "x" * number


@pytest.mark.parametrize("shards", [1, 2])
def test_a_result_that_the_server_does_not_take_fails_its_task_alone(
    own_server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    """It cuts the connection of whoever sends a text of more than it allows."""
    monkeypatch.setattr("reinhardt_tasks.worker.outages.PART_PAUSE", 0.1)
    with own_server.client() as client:
        client.config_set("proto-max-bulk-len", 1024 * 1024)
    broker = make(own_server.url, shards)
    jobs = [job_for(give_back_letters, number) for number in (2 * 1024 * 1024, *range(20))]
    large, *small = broker.enqueue(jobs)
    with working(broker, QUICK):
        assert {job.status for job in all_ended(broker, small)} == {TaskStatus.SUCCESS}
        (failed,) = all_ended(broker, [large])
    assert failed.status is TaskStatus.FAILURE
    assert failed.history[-1].exception == "reinhardt_tasks.exceptions.BackendError"
    assert "refused the outcome" in failed.history[-1].traceback


@pytest.mark.parametrize(
    ("error", "is_said_of_jobs"),
    [
        (UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed"), True),
        (redis.DataError("Invalid input of type: 'dict'."), True),
        (redis.ResponseError("WRONGTYPE the key ready:a is not of the type that a queue has"), True),
        (redis.ResponseError("-WRONGTYPE the key ready:a is not of the type that a queue has"), True),
        (redis.ResponseError("Expected value but found invalid token script: 1a2b, on @user_script:12."), True),
        (redis.ResponseError("Error running script (call to f_1a2b): @user_script:12: user_script:12: Expected"), True),
        (redis.ResponseError("Error running script (call to f_1a2b): @user_script:12: -OOM command not"), False),
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), False),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), False),
        (redis.exceptions.ReadOnlyError("You can't write against a read only replica."), False),
        (redis.exceptions.OutOfMemoryError("command not allowed"), False),
        (redis.ConnectionError("refused"), False),
        # Of a proxy, of a server that lacks a command, of one whose administrator ended the script.
        (redis.ResponseError("upstream failure"), False),
        (redis.ResponseError("unknown command 'EVALSHA', with args beginning with: "), False),
        (redis.ResponseError("Script killed by user with SCRIPT KILL. script: 1a2b, on @user_script:12."), False),
        (ValueError("I/O operation on closed file"), False),
    ],
)
def test_what_is_said_of_jobs_is_told_from_what_is_said_of_the_server(
    error: Exception, is_said_of_jobs: bool, redis_server: RedisServer, make: Make
) -> None:
    def fail() -> None:
        raise error

    broker = make(redis_server.url)
    with pytest.raises(QueueError) as told:
        faults.guarded(broker, fail, brings_jobs=True)
    assert isinstance(told.value, JobsRefused) is is_said_of_jobs
    with pytest.raises(QueueError) as told:
        faults.guarded(broker, fail)
    assert not isinstance(told.value, JobsRefused)
