"""Redis fails, hangs, forgets, is full, is damaged, or loses an answer: no task is lost, and the error says what to do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Query
from reinhardt_tasks.brokers.redis.scripts import script
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Job, Progress, Released, Retrying, Succeeded, TaskStatus, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from tests.databases import environment_for_processes
from tests.servers import RedisCluster, RedisServer, SentinelTrio, wait_until
from tests.worker.running import AT_ONCE, job_for, working

from .promises.base import attempt_of, claimed, ids_of, new_job, new_worker, running, signed_in, stored_job
from .proxy import Proxy
from .redis_makers import Make, make

__all__ = ["make"]

OPTIONS = BackendOptions(backoff=AT_ONCE, lease=30)
#: A worker with this lease beats twice a second, idle or not.
QUICK = BackendOptions(backoff=AT_ONCE, lease=1.5)
#: Seconds for a worker to come back after its store has.
DEADLINE = 90
SLOW = pytest.mark.skipif(os.environ.get("REINHARDT_TESTS_SLOW") != "1", reason="slow: set REINHARDT_TESTS_SLOW=1")

ran: Counter[int] = Counter()
go = threading.Event()


@pytest.fixture(autouse=True)
def new_stage() -> Iterator[None]:
    ran.clear()
    go.clear()
    yield
    go.set()


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server that may be killed; what it has answered survives that."""
    with RedisServer(own=True, appendonly=True) as server:
        yield server


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis_server.host, redis_server.port) as proxy:
        yield proxy


@task
def count(number: int) -> int:
    ran[number] += 1
    return number


@task
def count_and_wait(number: int) -> int:
    ran[number] += 1
    assert go.wait(120)
    return number


def counting(number: int, of: Any = count) -> list[Job]:
    return [job_for(of, each) for each in range(number)]


def all_ended(broker: Any, jobs: list[Job]) -> list[Job]:
    """Return the jobs when all of them have finished, through whatever the store does meanwhile."""

    def found() -> list[Job] | None:
        with suppress(QueueError):
            stored = broker.get(ids_of(jobs))
            if len(stored) == len(jobs) and all(job.status.is_finished for job in stored.values()):
                return [stored[job.id] for job in jobs]
        return None

    return wait_until(found, f"{len(jobs)} tasks finish", timeout=DEADLINE)


def accepted(broker: Any, jobs: list[Job]) -> None:
    """Enqueue jobs as soon as the store takes them."""

    def done() -> bool:
        with suppress(QueueError):
            return bool(broker.enqueue(jobs))
        return False

    wait_until(done, "the store takes jobs", timeout=DEADLINE)


# Scripts that are not there


def test_every_verb_finds_a_server_that_has_forgotten_its_scripts(own_server: RedisServer, make: Make) -> None:
    broker, worker = make(own_server.url), new_worker()

    def forget() -> None:
        with own_server.client() as client:
            client.script_flush()

    forget()
    broker.enqueue([new_job() for _ in range(3)])
    forget()
    assert asyncio.run(broker.aenqueue([job := new_job()])) == [stored_job(broker, job)]
    forget()
    claims = broker.claim(None, 4, worker)
    for verb in (
        lambda: broker.settle([Succeeded(claim=claims[0])]),
        lambda: broker.heartbeat(worker),
        lambda: broker.cancel([claims[1].job.id]),
        lambda: broker.find(Query()),
        lambda: broker.counts(),
        lambda: broker.wait(None, 0),
        lambda: broker.leave(worker),
        lambda: broker.rescue(9, new_worker()),
    ):
        forget()
        verb()
    assert stored_job(broker, claims[0]).status is TaskStatus.SUCCESS


# Answers that are lost


@pytest.mark.parametrize("number", [1, 2500])
def test_jobs_that_are_sent_again_are_stored_once(
    number: int, proxy: Proxy, redis_server: RedisServer, make: Make
) -> None:
    broker, direct = make(proxy.url), make(redis_server.url)
    broker.enqueue([new_job(queue="warm up")])
    jobs = [new_job() for _ in range(number)]
    proxy.lose(script("enqueue").sha)
    answer = broker.enqueue(jobs)
    assert proxy.lost == 1
    assert ids_of(answer) == ids_of(jobs)
    assert [each.status for each in answer] == [TaskStatus.PENDING] * number
    assert ids_of(direct.claim(["default"], number + 9, new_worker())) == ids_of(jobs)


def test_a_coroutine_that_sends_again_stores_once(proxy: Proxy, redis_server: RedisServer, make: Make) -> None:
    broker, direct, job = make(proxy.url), make(redis_server.url), new_job()

    async def send() -> list[Job]:
        await broker.aenqueue([new_job(queue="warm up")])
        proxy.lose(script("enqueue").sha)
        return list(await broker.aenqueue([job]))

    assert ids_of(asyncio.run(send())) == [job.id]
    assert proxy.lost == 1
    assert ids_of(direct.claim(["default"], 9, new_worker())) == [job.id]


def test_when_all_answers_are_lost_the_error_is_told_and_the_same_may_be_sent_again(proxy: Proxy, make: Make) -> None:
    broker, job = make(proxy.url), new_job()
    broker.enqueue([new_job(queue="warm up")])
    proxy.lose(script("enqueue").sha, times=4)
    with pytest.raises(QueueError, match="Is it running"):
        broker.enqueue([job])
    assert ids_of(broker.enqueue([job])) == [job.id]
    assert ids_of(broker.claim(["default"], 9, new_worker())) == [job.id]


@pytest.mark.parametrize("shards", [1, 3])
def test_jobs_whose_claim_was_never_heard_of_run_all_the_same(
    shards: int, proxy: Proxy, redis_server: RedisServer, make: Make
) -> None:
    """The store holds them for a worker that is alive: nobody else would ever rescue them."""
    broker, direct = make(proxy.url, shards), make(redis_server.url, shards)
    direct.enqueue(counting(1))
    with working(broker, QUICK):
        wait_until(lambda: ran, "the worker has begun")
        proxy.lose(script("exchange").sha, times=shards)
        jobs = direct.enqueue(counting(12))
        done = all_ended(direct, jobs)
    assert proxy.lost >= shards
    assert {job.status for job in done} == {TaskStatus.SUCCESS}
    assert {job.history for job in done} == {()}
    assert max(job.token for job in done) == 2


def test_a_claim_is_never_sent_twice(proxy: Proxy, redis_server: RedisServer, make: Make) -> None:
    broker, direct = make(proxy.url), make(redis_server.url)
    worker = signed_in(broker)
    direct.enqueue([new_job() for _ in range(9)])
    broker.claim(["none"], 1, worker)
    proxy.lose(script("exchange").sha)
    with pytest.raises(QueueError):
        broker.claim(None, 2, worker)
    assert len(direct.heartbeat(worker).held) == 2


def test_what_was_rescued_without_an_answer_runs_all_the_same(
    proxy: Proxy, redis_server: RedisServer, make: Make
) -> None:
    broker, direct = make(proxy.url), make(redis_server.url)
    (job,) = direct.enqueue(counting(1))
    direct.claim(None, 1, gone := new_worker())
    direct.leave(gone)
    broker.counts()
    proxy.lose(script("rescue").sha)
    with working(broker, QUICK):
        (done,) = all_ended(direct, [job])
    assert proxy.lost == 1
    assert done.status is TaskStatus.SUCCESS


def test_an_outcome_whose_answer_was_lost_is_recorded_once(proxy: Proxy, redis_server: RedisServer, make: Make) -> None:
    broker, direct = make(proxy.url), make(redis_server.url)
    with working(broker, OPTIONS):
        all_ended(direct, direct.enqueue([job_for(count, 7)]))
        (job,) = direct.enqueue(counting(1, count_and_wait))
        wait_until(lambda: ran[0], "the task begins")
        proxy.lose(script("exchange").sha)
        go.set()
        all_ended(direct, direct.enqueue([job_for(count, 8)]))
        (done,) = all_ended(direct, [job])
    assert proxy.lost == 1
    assert (done.status, done.result, done.token) == (TaskStatus.SUCCESS, "0", 1)


@pytest.mark.parametrize(("name", "after"), [("exchange", 0), ("outgoing", 0), ("outgoing", 1), ("enqueue", 0)])
def test_followers_on_their_way_to_another_shard_are_stored_once_whichever_answer_is_lost(
    name: str, after: int, proxy: Proxy, redis_server: RedisServer, make: Make
) -> None:
    broker, direct = make(proxy.url, 2), make(redis_server.url, 2)
    direct.enqueue([new_job()])
    claim = claimed(broker)
    broker.shards[0].outgoing()
    followers = [new_job(queue="then") for _ in range(20)]
    proxy.lose(script(name).sha, after=after)
    for _ in range(2):
        with suppress(QueueError):
            broker.settle([Succeeded(claim=claim, then=tuple(followers))])
            break
    assert proxy.lost == 1
    arrived: list[str] = []

    def all_arrived() -> bool:
        # A worker does this every few seconds.
        broker.rescue(9, new_worker())
        arrived.extend(ids_of(direct.claim(["then"], 99, new_worker())))
        return len(arrived) >= len(followers)

    wait_until(all_arrived, "the followers arrive", interval=0.1)
    assert sorted(arrived) == ids_of(followers)


def test_followers_that_two_workers_pass_on_at_once_all_arrive(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url, 2)
    first, second = broker.shards
    mine, more = ([new_job(queue="then") for _ in range(9)] for _ in range(2))

    def left_behind(jobs: list[Job]) -> list[Any]:
        """Let a success leave its followers in the first shard, on their way to the second."""
        job = next(each for each in iter(new_job, None) if broker.shard_of(each.id) is first)
        foreign = [each for each in jobs if broker.shard_of(each.id) is second]
        broker.enqueue([job])
        first.settle([Succeeded(claim=claimed(first), then=tuple(foreign))])
        return foreign

    expected = left_behind(mine)
    seen_by_one, seen_by_other = first.outgoing(), first.outgoing()
    first.outgoing(seen_by_one)
    expected += left_behind(more)
    # What the other has passed on as well must not be taken for what came after it.
    assert first.outgoing(seen_by_other) == first.outgoing()
    broker.rescue(9, new_worker())
    arrived = set(ids_of(second.claim(["then"], 99, new_worker())))
    assert {job.id for job in expected[len(seen_by_one) :]} <= arrived


def test_a_bell_that_was_not_heard_costs_a_moment(proxy: Proxy, redis_server: RedisServer, make: Make) -> None:
    broker, direct = make(proxy.url), make(redis_server.url)
    proxy.lose("BLPOP")
    with working(broker, OPTIONS):
        wait_until(lambda: proxy.requests > 3, "the worker listens")
        (done,) = all_ended(direct, direct.enqueue(counting(1)))
    assert done.status is TaskStatus.SUCCESS


# The server dies or hangs


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
    wait_until(lambda: broker._sleepers, "somebody sleeps")
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


# The server refuses


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
        Succeeded(claim=claims[0], then=(follower := new_job(queue="then"),)),
        Retrying(claim=claims[2], attempt=attempt_of(claims[2])),
        Retrying(claim=claims[3], attempt=attempt_of(claims[3]), delay=60),
        Released(claim=claims[4]),
    ]
    assert broker.settle(outcomes) == []
    assert stored_job(broker, follower).status is TaskStatus.PENDING
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


# Keys that somebody damaged


@pytest.mark.parametrize("kind", ["ready", "later", "retry", "bell"])
def test_a_queue_under_whose_name_something_else_lies_is_left_alone(
    kind: str, redis_server: RedisServer, make: Make
) -> None:
    broker = make(redis_server.url)
    (inside,) = broker.enqueue([job_for(count, 5)])
    with redis_server.client() as client:
        client.set(f"{broker.base}{kind}:other", "something else")
        client.sadd(f"{broker.base}queues", "other")
    with pytest.raises(QueueError, match="delete it, or choose another"):
        broker.enqueue([new_job(), new_job(queue="other")])
    with pytest.raises(QueueError, match=f"{kind}:other"):
        asyncio.run(broker.aenqueue([new_job(queue="other")]))
    assert broker.claim(["other"], 9, new_worker()) == []
    # Nothing of what was refused is there.
    assert ids_of(broker.find(Query())) == [inside.id]
    with working(make(redis_server.url), OPTIONS):
        all_ended(broker, [inside, *broker.enqueue(counting(3))])
    assert broker.counts() == []


def test_a_job_under_whose_name_something_else_lies_costs_itself_only(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url)
    before, damaged, after = broker.enqueue(counting(3))
    with redis_server.client() as client:
        client.set(f"{broker.base}job:{damaged.id}", "something else")
    assert set(broker.get(ids_of([before, damaged]))) == {before.id}
    for verb in (broker.cancel, broker.retry, broker.delete):
        assert verb([damaged.id]) == []
    with working(make(redis_server.url), OPTIONS):
        all_ended(broker, [before, after])
        wait_until(lambda: broker.counts() == [], "nothing waits any more")
    assert ids_of(broker.find(Query())) == [after.id, before.id]


_DAMAGES: dict[str, dict[str, str | bytes | None]] = {
    "arguments are no JSON": {"a": "add(1)"},
    "arguments are not there": {"a": None},
    "bytes that are no text": {"a": b"\xff\xfe"},
    "no name": {"n": None},
    "an odd state": {"st": "WAITING"},
    "the state of something that runs": {"st": "RUNNING"},
    "no state": {"st": None},
    "no priority": {"p": None},
    "priority is a word": {"p": "high"},
    "no queue": {"q": None},
    "due time is a word": {"du": "soon"},
    "no due time": {"du": None},
    "due beyond all years": {"du": "9000000000000000000", "en": "9000000000000000000"},
    "token is a word": {"tk": "x"},
    "history is no JSON": {"hs": "none"},
    "metadata is a list": {"md": "[1]"},
    "progress is no JSON": {"pg": "half"},
    "progress is words": {"pg": '["a", "b"]'},
    "attempts are a word": {"mx": "many"},
    "a once key that is not its own": {"once": "other"},
}


@pytest.fixture(params=_DAMAGES.values(), ids=_DAMAGES)
def damage(request: pytest.FixtureRequest) -> dict[str, str | bytes | None]:
    return dict(request.param)


def _damage(server: RedisServer, broker: Any, job: Job, damage: dict[str, str | bytes | None]) -> None:
    with server.client() as client:
        for name, value in damage.items():
            if value is None:
                client.hdel(f"{broker.base}job:{job.id}", name)
            else:
                client.hset(f"{broker.base}job:{job.id}", name, value)


def test_a_damaged_job_that_waits_costs_itself_only(
    damage: dict[str, str | bytes | None], redis_server: RedisServer, make: Make
) -> None:
    broker = make(redis_server.url)
    before, damaged, after = broker.enqueue(counting(3))
    _damage(redis_server, broker, damaged, damage)
    assert len(broker.get(ids_of([before, damaged, after]))) == 3
    assert len(broker.find(Query())) == 3
    assert [each.counts[TaskStatus.PENDING] for each in broker.counts()] == [3]
    with working(make(redis_server.url), OPTIONS):
        done = all_ended(broker, [before, after])
        assert {job.status for job in done} == {TaskStatus.SUCCESS}
        wait_until(lambda: not _waiting(broker), "nothing waits any more")
        done = all_ended(broker, broker.enqueue(counting(3)))
    assert {job.status for job in done} == {TaskStatus.SUCCESS}


def test_a_damaged_job_that_is_not_due_costs_itself_only(
    damage: dict[str, str | bytes | None], redis_server: RedisServer, make: Make
) -> None:
    broker = make(redis_server.url)
    later = datetime.now(UTC) + timedelta(seconds=0.2)
    before, damaged, after = broker.enqueue([job_for(count.using(run_after=later), number) for number in range(3)])
    _damage(redis_server, broker, damaged, damage)
    broker.counts()
    with working(make(redis_server.url), OPTIONS):
        done = all_ended(broker, [before, after])
    assert {job.status for job in done} == {TaskStatus.SUCCESS}


def test_a_damaged_job_that_runs_costs_itself_only(
    damage: dict[str, str | bytes | None], redis_server: RedisServer, make: Make
) -> None:
    broker, worker = make(redis_server.url), new_worker()
    broker.enqueue([new_job() for _ in range(3)])
    first, damaged, last = broker.claim(None, 3, worker)
    _damage(redis_server, broker, damaged.job, damage)
    broker.settle([Succeeded(claim=first), Released(claim=damaged), Succeeded(claim=last)])
    assert [stored_job(broker, claim).status for claim in (first, last)] == [TaskStatus.SUCCESS] * 2
    assert damaged.job.id not in broker.heartbeat(worker).held or "tk" in damage


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete"])
def test_people_can_still_handle_the_others(
    verb: str, damage: dict[str, str | bytes | None], redis_server: RedisServer, make: Make
) -> None:
    broker = make(redis_server.url)
    far = datetime.now(UTC) + timedelta(hours=1)
    jobs = broker.enqueue([new_job(run_after=far) for _ in range(3)])
    _damage(redis_server, broker, jobs[1], damage)
    done = getattr(broker, verb)(ids_of(jobs))
    assert {jobs[0].id, jobs[2].id} <= set(done)


def _waiting(broker: Any) -> int:
    return sum(each.counts[TaskStatus.PENDING] + each.counts[TaskStatus.RUNNING] for each in broker.counts())


# Groups of servers


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


# Processes


def test_parent_and_forked_child_each_get_their_own_answers(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url)
    broker.enqueue([new_job(queue="warm up")])
    heard: list[bool] = []
    sleeper = threading.Thread(target=lambda: heard.append(broker.wait(["parents"], 60)))
    sleeper.start()
    wait_until(lambda: broker._sleepers, "the parent waits")
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


def test_a_once_key_whose_job_has_expired_is_free_again(redis_server: RedisServer, make: Make) -> None:
    broker, key = make(redis_server.url, result_ttl=60), new_id()
    first = running(broker, once_key=key)
    broker.settle([Succeeded(claim=first)])
    with redis_server.client() as client:
        # As if its time were over, and no worker had pruned it.
        client.delete(f"{broker.base}job:{first.job.id}")
    (second,) = broker.enqueue([new_job(once_key=key)])
    assert second.id != first.job.id
    assert stored_job(broker, second).status is TaskStatus.PENDING
    assert broker.enqueue([new_job(once_key=key)]) == [stored_job(broker, second)]
