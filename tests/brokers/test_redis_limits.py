"""Limits on Redis: what they cost those that have none, what is cleared away, and kills."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks.gates import Limit, Until
from reinhardt_tasks.jobs import Failed, Succeeded, TaskStatus, new_id
from tests.databases import environment_for_processes
from tests.servers import RedisServer

from .promises.base import attempt_of, claimed, ids_of, new_job, new_worker, running, signed_in, stored_job
from .redis_makers import Make, make

__all__ = ["make"]

LIMITED = (Limit(key="key", size=1),)
RATED = (Limit(key="rate", size=1, every=60_000_000),)


def calls(client: Any) -> dict[str, int]:
    """Return how often each command ran so far, those of scripts included."""
    return {name: stat["calls"] for name, stat in client.info("commandstats").items()}


def keys(client: Any, broker: Any) -> set[str]:
    return {key.removeprefix(broker.base) for key in client.scan_iter(match=f"{broker.base}*", count=1000)}


@pytest.fixture
def own_server(redis_server: RedisServer) -> Any:
    """A server that nobody else sends commands to."""
    with RedisServer(own=True) as server:
        yield server


def test_a_line_costs_others_nothing(own_server: RedisServer, make: Make) -> None:
    broker, worker = make(own_server.url), new_worker()

    def cycle() -> None:
        broker.enqueue([new_job() for _ in range(3)])
        claims = broker.claim(["default"], 3, worker)
        assert broker.settle([Succeeded(claim=claim) for claim in claims]) == []

    with own_server.client() as client:

        def cost() -> dict[str, int]:
            before = calls(client)
            cycle()
            after = calls(client)
            return {name: number for name in after if (number := after[name] - before.get(name, 0))}

        cycle()
        before = cost()
        broker.enqueue([new_job(limits=LIMITED, priority=100) for _ in range(2000)])
        (held,) = broker.claim(["default"], 10, worker)
        assert cost() == before
        # One slot freed lets one in, and nobody looks at the others.
        start = calls(client)
        assert broker.settle([Succeeded(claim=held)]) == []
        assert len(broker.claim(["default"], 10, worker)) == 1
        after = calls(client)
        assert sum(after.values()) - sum(start.get(name, 0) for name in after) < 80


def test_what_limits_leave_behind_is_cleared_away(own_server: RedisServer, make: Make) -> None:
    broker = make(own_server.url)
    for number in range(3):
        limits = (Limit(key=f"user{number}", size=1), *RATED) if number == 0 else (Limit(key=f"user{number}", size=1),)
        claim = running(broker, limits=limits, once_key=f"once{number}", once_until=Until.FINISHED)
        assert broker.settle([Succeeded(claim=claim)]) == []
        broker.delete([claim.job.id])
    with own_server.client() as client:
        left = keys(client, broker)
        gates = {f"gate:user{number}" for number in range(3)} | {"gate:rate"}
        assert {
            key for key in left if key.split(":")[0] in ("passed", "line", "parked", "pacing", "once", "gate")
        } == gates
        for gate in gates:
            assert 0 < client.pttl(f"{broker.base}{gate}") <= 3_600_000 + 60_000


@pytest.mark.parametrize("until", [Until.FINISHED, None])
@pytest.mark.parametrize("verb", ["prune", "delete"])
def test_a_reserved_key_is_cleared_away_with_its_job(
    verb: str, until: Until | None, own_server: RedisServer, make: Make
) -> None:
    broker = make(own_server.url, shards=3)
    claim = running(broker, once_key="once", once_until=until, limits=LIMITED)
    assert broker.settle([Succeeded(claim=claim)]) == []
    if verb == "prune":
        moment = stored_job(broker, claim).finished_at
        assert broker.prune(moment.replace(year=moment.year + 1), 10) == 1
    else:
        assert broker.delete([claim.job.id]) == [claim.job.id]
    with own_server.client() as client:
        assert [
            key for shard in broker.shards for key in keys(client, shard) if key.startswith(("reserved", "once"))
        ] == []


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "only reserved"])
@pytest.mark.parametrize(("first", "second"), [((), LIMITED), (LIMITED, ()), (LIMITED, (Limit(key="b", size=1),))])
def test_one_key_is_one_job_whatever_its_limits(
    first: Any, second: Any, is_stored: bool, redis_server: RedisServer, make: Make
) -> None:
    """As in another queue, or after a deploy that gives its task other limits."""
    broker = make(redis_server.url, shards=5)
    pairs = [[new_job(once_key=f"key{number}", limits=limits) for limits in (first, second)] for number in range(12)]
    for one, other in pairs:
        if not is_stored:
            # The other is stored between the two things that whoever stores the first does.
            broker._first_of_its_key(one)
            broker.enqueue([other])
        assert len({broker.enqueue([job])[0].id for job in (one, other)}) == 1
    claims = []
    while some := broker.claim(None, 100, new_worker()):
        claims += some
        assert broker.settle([Succeeded(claim=claim) for claim in some]) == []
    assert len(ids_of(claims)) == len(set(ids_of(claims))) == len(pairs)


def test_a_job_whose_key_is_gone_keeps_no_slot(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url)
    gone = running(broker, limits=LIMITED)
    (second,) = broker.enqueue([new_job(limits=LIMITED)])
    with redis_server.client() as client:
        client.delete(f"{broker.base}job:{gone.job.id}")
    (third,) = broker.enqueue([new_job(limits=LIMITED)])
    assert ids_of(broker.claim(None, 10, new_worker())) == [second.id]
    assert third.id != second.id


def test_a_job_in_line_whose_queue_is_damaged_can_be_retried(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url)
    holder = running(broker, limits=LIMITED)
    (job,) = broker.enqueue([new_job(limits=LIMITED, queue="damaged")])
    (other,) = broker.enqueue([new_job(limits=LIMITED)])
    with redis_server.client() as client:
        client.set(f"{broker.base}ready:damaged", "text")
        assert broker.settle([Succeeded(claim=holder)]) == []
        assert ids_of(broker.claim(["default"], 10, new_worker())) == [other.id]
        assert stored_job(broker, job).status is TaskStatus.FAILURE
        client.delete(f"{broker.base}ready:damaged")
    assert broker.retry([job.id]) == [job.id]


@pytest.mark.parametrize("shards", [1, 3])
def test_a_concurrency_key_holds_over_processes_and_kills(redis_server: RedisServer, make: Make, shards: int) -> None:
    broker = make(redis_server.url, shards=shards)
    base = getattr(broker, "shards", [broker])[0].base
    limits = (Limit(key="api", size=2),)
    jobs = broker.enqueue([new_job(limits=limits) for _ in range(40)])
    with ExitStack() as stack:

        def start(word: str, lease: float) -> Any:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.brokers.redis_competitor",
                    redis_server.url,
                    base,
                    str(lease),
                    str(shards),
                ],
                cwd=Path(__file__).parents[2],
                env=environment_for_processes(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            return process

        victim = start("hold", 3)
        held = victim.stdout.readline().split()
        victim.kill()
        assert held == ids_of(jobs[:2])
        assert broker.claim(None, 10, new_worker()) == []
        processes = [start("rescue", 60) for _ in range(2)]
        settled = [id_ for process in processes for id_ in process.communicate(timeout=120)[0].split()]
    assert sorted(settled) == ids_of(jobs)
    found = broker.get(settled).values()
    assert {job.status for job in found} == {TaskStatus.SUCCESS}
    alive = [job for job in found if job.token == 1]
    moments = [(job.started_at, 1) for job in alive] + [(job.finished_at, -1) for job in alive]
    assert max(accumulate(change for _, change in sorted(moments))) <= 2


def test_a_key_is_free_whichever_shard_the_next_job_falls_into(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url, shards=4)
    ids = set()
    for number in range(24):
        job = new_job(id=new_id(), once_key="one", once_until=list(Until)[number % 2])
        (first,) = broker.enqueue([job])
        assert first.id == job.id
        assert ids_of(broker.enqueue([new_job(once_key="one", once_until=Until.FINISHED)])) == [first.id]
        claim = claimed(broker)
        assert broker.settle([Succeeded(claim=claim)]) == []
        ids.add(broker.shard_of(job.id).base)
    assert len(ids) == 4


def test_a_lost_jobs_slot_comes_back_from_the_shard_of_limits(redis_server: RedisServer, make: Make) -> None:
    broker, lost = make(redis_server.url, shards=4), new_worker()
    claims = [running(broker, lost, limits=(Limit(key=f"user{number}", size=1),)) for number in range(6)]
    waiting = broker.enqueue([new_job(limits=claim.job.limits) for claim in claims])
    broker.leave(lost)
    rescuer = signed_in(broker)
    rescued = broker.rescue(10, rescuer)
    assert len(rescued) == 6
    assert broker.settle([Failed(claim=claim, attempt=attempt_of(claim, lost=True)) for claim in rescued]) == []
    assert sorted(ids_of(broker.claim(None, 10, rescuer))) == ids_of(waiting)


@pytest.mark.parametrize("until", list(Until))
def test_a_key_that_is_given_back_while_another_asks_for_it_loses_no_job(
    redis_server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    broker, worker = make(redis_server.url, shards=4), new_worker()
    (first,) = broker.enqueue([new_job(once_key="key", once_until=until)])
    shard = broker.place_of(first)
    store = shard.enqueue

    def store_late(*args: Any) -> Any:
        # The first was there when it was asked for; now it runs to its end.
        monkeypatch.undo()
        assert broker.settle([Succeeded(claim=claimed(broker, worker))]) == []
        return store(*args)

    monkeypatch.setattr(shard, "enqueue", store_late)
    (second,) = broker.enqueue([new_job(once_key="key", once_until=until)])
    assert second.id != first.id
    assert claimed(broker, worker).job.id == second.id
