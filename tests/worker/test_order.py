"""Queues as one, in strict order, or by weight: what a worker asks first, and that a light queue is never starved."""

from __future__ import annotations

from collections import Counter

import pytest

from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.jobs import Job, new_id
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.serialization import encode_call
from reinhardt_tasks.tasks import task
from reinhardt_tasks.worker import Worker, WorkerConfig
from reinhardt_tasks.worker.order import QueueOrder, read_queues

from .running import Door

ran: list[str] = []


@task(max_attempts=1)
def say(word: str) -> None:
    ran.append(word)


def _run(order: QueueOrder, waiting: list[tuple[str, int]], **config: int) -> list[str]:
    """Run one task at a time; return the queues in the order in which they were served."""
    ran.clear()
    broker = MemoryBroker()
    broker.enqueue(
        [
            Job(id=new_id(), name=say.module_path, payload=encode_call("", [queue], {}), backend="default", queue=queue)
            for queue, number in waiting
            for _ in range(number)
        ]
    )
    settings = WorkerConfig(queues=order.queues, order=order, concurrency=1, burst=True, **config)
    Worker(broker, BackendOptions(), Door, settings).run()
    return list(ran)


@pytest.mark.parametrize("queue", ["", "\udcff", "\x00"])
def test_a_queue_that_cannot_be_is_told_at_the_start(queue: str) -> None:
    with pytest.raises(ValueError, match="A queue's name is a text"):
        WorkerConfig(queues=("default", queue))


def test_without_an_order_the_oldest_of_any_is_first() -> None:
    assert _run(QueueOrder(("b", "a")), [("a", 2), ("b", 2)]) == ["a", "a", "b", "b"]


def test_in_strict_order_a_queue_waits_until_those_before_it_are_empty() -> None:
    assert _run(QueueOrder(("b", "a"), strict=True), [("a", 3), ("b", 3)]) == ["b"] * 3 + ["a"] * 3


def test_by_weight_each_queue_comes_first_in_its_share_of_the_claims() -> None:
    order = read_queues(["critical:6,default:3,bulk:1"])
    firsts = [order.turns()[0] for _ in range(100)]
    assert Counter(firsts) == {("critical",): 60, ("default",): 30, ("bulk",): 10}
    # Evenly: the light one does not wait for the end of a round.
    assert all(("bulk",) in firsts[at : at + 10] for at in range(0, 91))


def test_a_light_queue_is_served_while_a_heavy_one_is_full() -> None:
    # More than ten claims take, however large these grow while tasks are short.
    served = _run(read_queues(["heavy:9,light:1"]), [("heavy", 8000), ("light", 1)])
    assert sorted(set(served)) == ["heavy", "light"]
    assert served.index("light") < len(served) - 1


def test_room_that_one_queue_leaves_goes_to_the_others() -> None:
    assert Counter(_run(read_queues(["a:5,b:1"]), [("b", 20)])) == {"b": 20}


@pytest.mark.parametrize(
    ("given", "order"),
    [
        ([], QueueOrder(None)),
        (["a"], QueueOrder(("a",))),
        (["a", "b"], QueueOrder(("a", "b"))),
        (["a,b"], QueueOrder(("a", "b"), strict=True)),
        (["a:2, b:1"], QueueOrder(("a", "b"), weights={"a": 2, "b": 1})),
        (["tenant:x,tenant:y"], QueueOrder(("tenant:x", "tenant:y"), strict=True)),
    ],
)
def test_what_the_flag_was_given(given: list[str], order: QueueOrder) -> None:
    assert read_queues(given) == order


@pytest.mark.parametrize("given", [["a:1,b"], ["a:0,b:1"], ["a,b", "c"]])
def test_what_cannot_be_meant_is_refused(given: list[str]) -> None:
    with pytest.raises(ValueError, match="weight|mixes"):
        read_queues(given)
