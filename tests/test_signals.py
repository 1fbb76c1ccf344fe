"""Django's three signals and ours: each event once, with the backend's class as sender, and in the order of events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reinhardt_tasks import RetryStrategy, _compat, signals, task
from reinhardt_tasks._compat import TaskResultStatus, task_backends
from reinhardt_tasks.backends import DatabaseBackend, DummyBackend, ImmediateBackend
from reinhardt_tasks.jobs import TaskStatus, new_id
from tests.backends.working import work_off

ENQUEUED, STARTED, FINISHED, RETRIED = "task_enqueued", "task_started", "task_finished", "task_retried"

failures: list[int] = []


@task
def add(a: int, b: int) -> int:
    return a + b


@task
async def aadd(a: int, b: int) -> int:
    return a + b


@task(max_attempts=1)
def fail() -> None:
    raise ValueError("no")


@task(max_attempts=3, backoff=RetryStrategy.fixed_delay(0.001))
def fail_once() -> str:
    if not failures:
        failures.append(1)
        raise ValueError("no")
    return "done"


class Heard(list[tuple[str, Any, str]]):
    """What was told: the signal, its sender, and the state in which the task was then. `facts` is what came with it."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[dict[str, Any]] = []
        self.results: list[Any] = []
        self.receivers: dict[str, Any] = {}

    def listen(self) -> None:
        for name in signals.__all__:
            self.receivers[name] = self._receiver(name)
            getattr(signals, name).connect(self.receivers[name])

    def close(self) -> None:
        for name, receiver in self.receivers.items():
            getattr(signals, name).disconnect(receiver)

    def names(self) -> list[str]:
        return [name for name, _, _ in self]

    def _receiver(self, name: str) -> Any:
        def receive(sender: Any, task_result: Any, signal: Any, **facts: Any) -> None:
            self.append((name, sender, str(task_result.state)))
            self.facts.append(facts)
            self.results.append(task_result)

        return receive


@pytest.fixture
def heard() -> Iterator[Heard]:
    failures.clear()
    heard = Heard()
    heard.listen()
    yield heard
    heard.close()


@pytest.fixture
def use(settings: Any) -> Any:
    def use(name: str, **options: Any) -> Any:
        settings.TASKS = {"default": {"BACKEND": f"reinhardt_tasks.backends.{name}", "OPTIONS": options}}
        return task_backends["default"]

    return use


@pytest.fixture
def database(database_alias: str, use: Any) -> Iterator[DatabaseBackend]:
    backend = use("DatabaseBackend", DATABASE=database_alias)
    yield backend
    backend.broker.close()


def run(backend: DatabaseBackend, number: int) -> None:
    """Run tasks until `number` attempts were made."""
    work_off(backend, burst=False, max_tasks=number, concurrency=1)


def test_djangos_signals_are_djangos() -> None:
    for name in (ENQUEUED, STARTED, FINISHED):
        assert getattr(signals, name) is getattr(_compat, name)
        assert getattr(signals, name) is not signals.task_retried


def test_the_dummy_tells_that_it_was_enqueued(heard: Heard, use: Any) -> None:
    use("DummyBackend")
    result = add.enqueue(1, 2)
    add.enqueue_many([((1, 2), {}), ((3, 4), {})])
    asyncio.run(add.aenqueue(1, 2))
    assert heard == [(ENQUEUED, DummyBackend, TaskStatus.PENDING)] * 4
    assert heard.results[0] == result


@pytest.mark.parametrize("it", [add, aadd])
def test_an_immediate_task_is_enqueued_started_and_finished(heard: Heard, use: Any, it: Any) -> None:
    use("ImmediateBackend")
    result = it.enqueue(1, 2)
    assert heard == [
        (ENQUEUED, ImmediateBackend, TaskStatus.PENDING),
        (STARTED, ImmediateBackend, TaskStatus.RUNNING),
        (FINISHED, ImmediateBackend, TaskStatus.SUCCESS),
    ]
    assert {told.id for told in heard.results} == {result.id}
    assert heard.results[-1].return_value == 3
    heard.clear()
    asyncio.run(it.aenqueue(1, 2))
    assert heard.names() == [ENQUEUED, STARTED, FINISHED]


def test_a_retry_is_told_with_its_delay(heard: Heard, use: Any) -> None:
    use("ImmediateBackend")
    fail_once.enqueue()
    assert heard.names() == [ENQUEUED, STARTED, RETRIED, STARTED, FINISHED]
    assert heard[2][1:] == (ImmediateBackend, TaskStatus.RETRY)
    assert heard.facts == [{}, {}, {"delay": 0.001}, {}, {}]
    assert heard.results[2].status is TaskResultStatus.READY
    assert len(heard.results[2].errors) == len(heard.results[4].errors) == 1


def test_a_failure_is_finished_too(heard: Heard, use: Any) -> None:
    use("ImmediateBackend")
    fail.enqueue()
    assert heard.names() == [ENQUEUED, STARTED, FINISHED]
    assert heard.results[-1].status is TaskResultStatus.FAILED
    assert heard.results[-1].errors[0].exception_class is ValueError


def test_what_is_refused_is_told_to_nobody(heard: Heard, use: Any, settings: Any) -> None:
    for name in ("DummyBackend", "ImmediateBackend"):
        use(name)
        with pytest.raises(TypeError):
            add.enqueue(1)
    assert heard == []


def test_a_database_tells_that_it_was_enqueued(heard: Heard, database: DatabaseBackend) -> None:
    result = add.enqueue(1, 2)
    assert heard == [(ENQUEUED, DatabaseBackend, TaskStatus.PENDING)]
    assert heard.results == [result]
    add.enqueue_many([((1, 2), {})] * 3)
    asyncio.run(add.aenqueue(1, 2))
    assert heard.names() == [ENQUEUED] * 5
    with pytest.raises(TypeError):
        add.enqueue(1)
    assert len(heard) == 5


@pytest.mark.parametrize("it", [add, aadd])
def test_a_worker_tells_that_it_started_and_finished(heard: Heard, database: DatabaseBackend, it: Any) -> None:
    result = it.enqueue(1, 2)
    heard.clear()
    run(database, 1)
    assert heard == [(STARTED, DatabaseBackend, TaskStatus.RUNNING), (FINISHED, DatabaseBackend, TaskStatus.SUCCESS)]
    assert heard.results[-1].id == result.id
    assert heard.results[-1].return_value == 3
    assert len(heard.results[-1].worker_ids) == 1


def test_a_worker_tells_of_a_retry_and_of_a_failure(heard: Heard, database: DatabaseBackend) -> None:
    fail_once.enqueue()
    run(database, 2)
    assert heard == [
        (ENQUEUED, DatabaseBackend, TaskStatus.PENDING),
        (STARTED, DatabaseBackend, TaskStatus.RUNNING),
        (RETRIED, DatabaseBackend, TaskStatus.RETRY),
        (STARTED, DatabaseBackend, TaskStatus.RUNNING),
        (FINISHED, DatabaseBackend, TaskStatus.SUCCESS),
    ]
    heard.clear()
    fail.enqueue()
    run(database, 1)
    assert heard[1:] == [
        (STARTED, DatabaseBackend, TaskStatus.RUNNING),
        (FINISHED, DatabaseBackend, TaskStatus.FAILURE),
    ]


def test_a_receiver_that_raises_costs_neither_task_nor_worker(heard: Heard, database: DatabaseBackend) -> None:
    def refuse(**facts: Any) -> None:
        raise RuntimeError("a receiver's own fault")

    told = [getattr(signals, name) for name in signals.__all__]
    for signal in told:
        signal.connect(refuse)
    try:
        results = [add.enqueue(1, 2), fail_once.enqueue()]
        run(database, 3)
    finally:
        for signal in told:
            signal.disconnect(refuse)
    for result in results:
        result.refresh()
    assert [result.return_value for result in results] == [3, "done"]
    assert sorted(heard.names()) == sorted([ENQUEUED, ENQUEUED, STARTED, STARTED, STARTED, RETRIED, FINISHED, FINISHED])


class Nameless:
    """A receiver without a `__qualname__`: send_robust, which wants to log that, does not catch what it raises."""

    def __init__(self, problem: type[BaseException] = ValueError) -> None:
        self.problem = problem

    def __call__(self, **facts: Any) -> None:
        raise self.problem("the receiver")


@pytest.mark.parametrize("problem", [ValueError, SystemExit])
def test_who_enqueues_hears_of_no_receiver(heard: Heard, database: DatabaseBackend, problem: Any, caplog: Any) -> None:
    """An error would say that nothing is stored, and have it stored again."""
    receiver = Nameless(problem)
    signals.task_enqueued.connect(receiver)
    try:
        results = [add.enqueue(1, 2), *add.enqueue_many([((1, 2), {})] * 2), asyncio.run(add.aenqueue(1, 2))]
        database.enqueue_jobs([replace(database.broker.get([results[0].id])[results[0].id], id=new_id())])
    finally:
        signals.task_enqueued.disconnect(receiver)
    assert len({result.id for result in results}) == 4
    assert heard.names() == [ENQUEUED] * 5
    assert caplog.text.count("a receiver of a signal wanted to leave") == 5


@pytest.mark.parametrize("problem", [KeyboardInterrupt, asyncio.CancelledError])
def test_who_is_to_stop_is_not_kept_by_a_receiver(database: DatabaseBackend, problem: Any) -> None:
    receiver = Nameless(problem)
    signals.task_enqueued.connect(receiver)
    try:
        with pytest.raises(problem):
            add.enqueue(1, 2)
    finally:
        signals.task_enqueued.disconnect(receiver)


def test_a_receiver_may_log_the_exception_that_is_being_handled(heard: Heard, database: DatabaseBackend) -> None:
    import sys

    seen: list[Any] = []
    lock = threading.Lock()

    def look(**facts: Any) -> None:
        with lock:
            seen.append(sys.exc_info()[0])

    signals.task_finished.connect(look)
    try:
        fail.enqueue()
        run(database, 1)
    finally:
        signals.task_finished.disconnect(look)
    assert seen == [ValueError]
