"""Keys in Redis that somebody damaged cost what they hold, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Query
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Job, Released, Succeeded, TaskStatus, new_id
from tests.servers import RedisServer, wait_until
from tests.worker.running import job_for, working

from .promises.base import ids_of, new_job, new_worker, running, stored_job
from .redis_makers import Make, make
from .redis_stage import OPTIONS, all_ended, count, counting, new_stage

__all__ = ["make", "new_stage"]


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


def test_a_chime_under_whose_name_something_else_lies_costs_nothing(redis_server: RedisServer, make: Make) -> None:
    broker = make(redis_server.url)
    with redis_server.client() as client:
        client.set(f"{broker.base}chime:default", "something else")
    (job,) = broker.enqueue([new_job(is_async=True)])
    assert ids_of(broker.claim(["default"], 9, new_worker())) == [job.id]
    assert not broker.wait(["default"], 0.05)
    broker.enqueue([new_job(is_async=True)])
    assert broker.wait(["default"], 0)
    with redis_server.client() as client:
        assert client.llen(f"{broker.base}chime:default") == 1


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
