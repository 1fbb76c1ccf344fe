"""What a worker counts for metrics: each start, end and time once, by names of which there are not too many."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import Retry
from reinhardt_tasks.execution import Execution
from reinhardt_tasks.jobs import Attempt, Cancelled, Claim, Failed, Job, Released, Retrying, Succeeded, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig
from reinhardt_tasks.worker import tally as tally_module
from reinhardt_tasks.worker.tally import BUCKETS, LIMIT, OTHERS, SUM, UNKNOWN, Tally

from .running import AT_ONCE, Clock, Door, enqueued, job_for, maintenance_of

HERE = __name__


@task
def succeed() -> None:
    return None


@task
async def succeed_later() -> None:
    return None


@task(max_attempts=2)
def fail() -> None:
    raise Retry("not yet", in_=0)


def worked_off(broker: MemoryBroker, **config: Any) -> Tally:
    tally = Tally()
    told = WorkerConfig(**{"burst": True, **config})
    Worker(broker, BackendOptions(backoff=AT_ONCE), Door, told, tally=tally).run()
    return tally


def of(tally: Tally, what: str) -> dict[tuple[str, ...], float]:
    return {key[1:]: number for key, number in tally.numbers().items() if key[0] == what}


def test_starts_ends_and_times_are_counted_by_task_queue_and_outcome() -> None:
    broker = MemoryBroker()
    for each in (succeed, succeed, succeed_later, fail, succeed.using(queue_name="emails")):
        enqueued(broker, each)
    tally = worked_off(broker)
    assert of(tally, "started") == {
        (f"{HERE}.succeed", "default", ""): 2,
        (f"{HERE}.succeed", "emails", ""): 1,
        (f"{HERE}.succeed_later", "default", ""): 1,
        (f"{HERE}.fail", "default", ""): 2,
    }
    assert of(tally, "finished") == {
        (f"{HERE}.succeed", "default", "succeeded"): 2,
        (f"{HERE}.succeed", "emails", "succeeded"): 1,
        (f"{HERE}.succeed_later", "default", "succeeded"): 1,
        (f"{HERE}.fail", "default", "retried"): 1,
        (f"{HERE}.fail", "default", "failed"): 1,
    }
    for what in ("wait", "run"):
        times = {key[2]: number for key, number in of(tally, what).items() if key[:2] == (f"{HERE}.fail", "default")}
        assert times.pop(SUM) >= 0
        assert sum(times.values()) == 2


def test_a_wait_is_counted_from_the_moment_a_task_was_due() -> None:
    clock = Clock()
    broker = MemoryBroker(now=clock)
    enqueued(broker, succeed)
    clock.jump(100)
    waited = of(worked_off(broker), "wait")
    assert waited[(f"{HERE}.succeed", "default", SUM)] >= 100
    assert waited[(f"{HERE}.succeed", "default", str(BUCKETS.index(300.0)))] == 1


def test_a_wait_in_the_workers_own_line_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, times = MemoryBroker(), iter([1000.0, 1042.0])
    enqueued(broker, succeed)
    (claim,) = broker.claim(None, 1, WorkerInfo(id="w"))
    execution, tally = Execution(claim, BackendOptions(), Door), Tally()
    heard: list[Execution] = []
    execution.on_begin = heard.append
    monkeypatch.setattr(tally_module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    tally.watch(execution)
    execution.run()
    assert of(tally, "wait")[(f"{HERE}.succeed", "default", SUM)] >= 42
    assert heard == [execution]


def test_a_task_that_never_began_has_no_time_and_no_start() -> None:
    broker = MemoryBroker()
    broker.enqueue([Job(id=new_id(), name=f"{HERE}.succeed", payload="damaged", backend="default")])
    tally = worked_off(broker)
    assert of(tally, "finished") == {(f"{HERE}.succeed", "default", "failed"): 1}
    assert of(tally, "started") == of(tally, "run") == of(tally, "wait") == {}


def test_names_that_are_not_registered_are_one_name() -> None:
    tally = Tally()
    for number in range(50):
        tally.settled(Succeeded(claim=_claim(f"nowhere.task_{number}")))
    assert of(tally, "finished") == {(UNKNOWN, "default", "succeeded"): 50}


def test_beyond_a_number_of_tasks_and_queues_they_are_counted_together() -> None:
    tally = Tally()
    for number in range(LIMIT + 50):
        tally.settled(Succeeded(claim=_claim(f"{HERE}.succeed", queue=f"queue-{number}")))
    tally.settled(Succeeded(claim=_claim(f"{HERE}.succeed", queue="queue-0")))
    numbers = of(tally, "finished")
    assert len(numbers) == LIMIT + 1
    assert numbers[(OTHERS, OTHERS, "succeeded")] == 50
    assert numbers[(f"{HERE}.succeed", "queue-0", "succeeded")] == 2


def _claim(name: str, queue: str = "default") -> Claim:
    return Claim(
        job=Job(id=new_id(), name=name, payload="[[],{}]", backend="default", queue=queue), token=1, worker="w"
    )


def test_each_outcome_has_its_word() -> None:
    tally, claim = Tally(), _claim(f"{HERE}.succeed")
    attempt = Attempt(worker="w", started_at=None, finished_at=None, exception="E", traceback="")
    for outcome in (
        Succeeded(claim=claim),
        Failed(claim=claim, attempt=attempt),
        Retrying(claim=claim, attempt=attempt),
        Cancelled(claim=claim, attempt=attempt),
        Released(claim=claim),
    ):
        tally.settled(outcome)
    words = {"succeeded", "failed", "retried", "cancelled", "released"}
    assert of(tally, "finished") == {(f"{HERE}.succeed", "default", word): 1 for word in words}


def test_what_a_dead_worker_held_is_lost_and_counted_by_who_rescues_it() -> None:
    broker = MemoryBroker()
    enqueued(broker, succeed)
    dead, living = WorkerInfo(id="dead"), WorkerInfo(id="living")
    assert len(broker.claim(None, 1, dead)) == 1
    broker.leave(dead)
    tally = Tally()
    assert maintenance_of(broker, living, BackendOptions(), tally).rescue() == 1
    assert of(tally, "finished") == {(f"{HERE}.succeed", "default", "lost"): 1}


def test_what_a_dead_process_had_not_begun_is_released() -> None:
    broker = MemoryBroker()
    enqueued(broker, succeed)
    dead, tally = WorkerInfo(id="dead"), Tally()
    broker.claim(None, 1, dead)
    broker.leave(dead)
    maintenance_of(broker, WorkerInfo(id="living"), BackendOptions(), tally).rescue(begun=(), of="dead")
    assert of(tally, "finished") == {(f"{HERE}.succeed", "default", "released"): 1}


class _Deaf(MemoryBroker):
    """Says of every outcome that its claim was no longer its worker's."""

    def settle(self, outcomes: Any) -> list[Claim]:
        super().settle(outcomes)
        return [outcome.claim for outcome in outcomes]


def test_an_outcome_that_came_too_late_is_a_lost_lease_and_no_end() -> None:
    broker = _Deaf()
    enqueued(broker, succeed)
    tally = worked_off(broker)
    assert of(tally, "lease_lost") == {("", "", ""): 1}
    assert of(tally, "finished") == {}


def test_what_several_processes_counted_adds_up_whatever_the_order(rng: random.Random) -> None:
    parts, whole, total = [Tally() for _ in range(4)], Tally(), Tally()
    lines = []
    for _ in range(300):
        claim = _claim(f"{HERE}.{rng.choice(['succeed', 'fail'])}", queue=rng.choice("ab"))
        outcome = rng.choice([Succeeded(claim=claim), Released(claim=claim)])
        part = rng.choice(parts)
        part.settled(outcome)
        whole.settled(outcome)
        if rng.random() < 0.1:
            # As it goes over a link.
            lines.append(json.dumps(part.take()))
    lines += [json.dumps(part.take()) for part in parts]
    rng.shuffle(lines)
    for line in lines:
        total.add(json.loads(line))
    assert total.numbers() == whole.numbers()
    assert [part.take() for part in parts] == [[]] * 4


def test_nothing_is_counted_of_a_worker_without_a_tally() -> None:
    broker = MemoryBroker()
    job = broker.enqueue([job_for(succeed)])[0]
    Worker(broker, BackendOptions(), Door, WorkerConfig(burst=True)).run()
    assert broker.get([job.id])[job.id].status.is_finished


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0.005), (0.005, 0.005), (0.0051, 0.01), (3600.0, 3600.0), (3600.1, None)]
)
def test_a_time_lies_in_the_first_bucket_that_holds_it(seconds: float, bucket: float | None) -> None:
    tally = Tally()
    tally._observe("run", f"{HERE}.succeed", "default", seconds)
    number = len(BUCKETS) if bucket is None else BUCKETS.index(bucket)
    assert of(tally, "run") == {
        (f"{HERE}.succeed", "default", str(number)): 1,
        (f"{HERE}.succeed", "default", SUM): seconds,
    }
