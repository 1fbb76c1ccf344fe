"""A failover, and nodes of a cluster that are lost: what does not lie there goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import TaskStatus
from tests.servers import RedisCluster, RedisServer, SentinelTrio, wait_until
from tests.worker.running import job_for, working

from .promises.base import ids_of, new_job, new_worker
from .redis_makers import Make, make
from .redis_stage import OPTIONS, QUICK, accepted, all_ended, count, count_and_wait, counting, go, new_stage, ran

__all__ = ["make", "new_stage"]


def test_two_workers_go_on_through_a_failover(make: Make) -> None:
    with SentinelTrio() as trio:
        way = {"sentinels": tuple(trio.addresses), "service": trio.service}
        broker = make(**way)
        jobs = counting(300)
        broker.enqueue(jobs)
        with working(make(**way), QUICK), working(make(**way), QUICK):
            wait_until(lambda: len(ran) > 20, "some have run", interval=0.001)
            with trio.master().client() as client:
                client.wait(1, 5000)
            trio.kill_master()
            trio.wait_for_failover()
            done = all_ended(broker, jobs)
            late = counting(5)
            accepted(broker, late)
            all_ended(broker, late)
    # All were replicated before the master died, so none may be missing; an end that was not runs once more.
    assert {job.status for job in done} == {TaskStatus.SUCCESS}
    assert len(ran) == 300


@pytest.fixture
def partial_cluster() -> Iterator[RedisCluster]:
    """A cluster that serves what it can while a node is away."""
    with RedisCluster(appendonly=True) as cluster:
        for node in cluster.nodes:
            with node.client() as client:
                client.config_set("cluster-require-full-coverage", "no")
        yield cluster


def test_a_lost_node_stops_its_own_shards_only(partial_cluster: RedisCluster, make: Make) -> None:
    shards = 6
    broker, watcher = make(partial_cluster.url, shards, cluster=True), make(partial_cluster.url, shards, cluster=True)
    with partial_cluster.client() as client:
        port = client.get_node_from_key(watcher.shards[0].base).port
        dead = [shard for shard in watcher.shards if client.get_node_from_key(shard.base).port == port]
    node = next(each for each in partial_cluster.nodes if each.port == port)
    jobs = counting(24, count_and_wait)
    on_dead = [job for job in jobs if watcher.shard_of(job.id) in dead]
    others = [job for job in jobs if job not in on_dead]
    assert on_dead and others
    watcher.enqueue(jobs)
    with working(broker, OPTIONS, concurrency=24):
        wait_until(lambda: len(ran) == 24, "all begin")
        node.kill()
        # The tasks of the dead node end now, and so do the others: those are recorded at once.
        go.set()
        done = all_ended(watcher, others)
        assert {job.status for job in done} == {TaskStatus.SUCCESS}
        for number in range(50, 60):
            job = job_for(count, number)
            if watcher.shard_of(job.id) in dead:
                with pytest.raises(QueueError, match=str(port)):
                    watcher.enqueue([job])
            else:
                accepted(watcher, [job])
                all_ended(watcher, [job])
        node.start()
        done = all_ended(watcher, on_dead)
    assert {(job.status, job.history) for job in done} == {(TaskStatus.SUCCESS, ())}
    assert max(ran.values()) == 1


def test_what_is_held_in_living_shards_is_rescued_while_a_node_is_away(
    partial_cluster: RedisCluster, make: Make
) -> None:
    broker, gone = make(partial_cluster.url, 6, cluster=True), new_worker("gone")
    jobs = broker.enqueue([new_job() for _ in range(24)])
    assert len(broker.claim(None, 24, gone)) == 24
    node = partial_cluster.nodes[1]
    with partial_cluster.client() as client:
        living = [shard for shard in broker.shards if client.get_node_from_key(shard.base).port != node.port]
    node.kill()
    for shard in living:
        shard.leave(gone)
    rescuer = make(partial_cluster.url, 6, cluster=True)
    rescued = rescuer.rescue(99, new_worker())
    assert sorted(ids_of(rescued)) == ids_of(job for job in jobs if broker.shard_of(job.id) in living)


def test_a_task_is_not_stopped_because_its_shard_does_not_answer_for_a_moment(
    redis_server: RedisServer, make: Make
) -> None:
    watcher, broker = make(redis_server.url, 2), make(redis_server.url, 2)
    jobs = watcher.enqueue(counting(12, count_and_wait))
    with working(broker, concurrency=12) as worker:
        wait_until(lambda: len(ran) == 12, "all run")
        beat_at = worker.beat_at
        # As after any error of it.
        broker._rest(broker.shards[1])
        assert not broker.heartbeat(worker.info).is_whole
        wait_until(lambda: worker.beat_at != beat_at, "a heartbeat")
        go.set()
        assert {job.status for job in all_ended(watcher, jobs)} == {TaskStatus.SUCCESS}
