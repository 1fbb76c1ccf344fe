"""The page of metrics, as Prometheus itself would read it."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from reinhardt_tasks import task
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.contrib import prometheus
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.worker import Worker, WorkerConfig
from reinhardt_tasks.worker.tally import Snapshot, Tally
from tests.worker.running import AT_ONCE, Clock, Door, enqueued, job_for

HERE = __name__

Page = Callable[..., dict[tuple[str, ...], float]]


@task
def succeed() -> None:
    return None


@task(max_attempts=1)
def fail() -> None:
    raise ValueError


class Store(MemoryBroker):
    """Counts how often it is asked, and is away when it is told to."""

    asked = 0
    is_away = False

    def counts(self) -> Any:
        self.asked += 1
        if self.is_away:
            raise QueueError("away")
        return super().counts()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def address() -> Iterator[Any]:
    """Return a function that serves metrics and returns where."""
    servers = []

    def serve(broker: Any, source: Callable[[], Snapshot] = lambda: ({}, {}), queues: Any = ()) -> str:
        listening = prometheus.listen("127.0.0.1", 0)
        servers.append(prometheus.serve(listening, "main", broker, source, queues))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def read(address: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a page → value: name, then its labels' values by the labels' names, without the backend's."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("backend") == "main"
            found[(sample.name.removeprefix("reinhardt_tasks_"), *(labels[name] for name in sorted(labels)))] = (
                sample.value
            )
    return found


def test_the_page_tells_what_a_worker_did(address: Any, store: Store) -> None:
    tally = Tally()
    worker = Worker(store, BackendOptions(backoff=AT_ONCE), Door, WorkerConfig(burst=True), tally=tally)
    for each in (succeed, succeed, fail):
        enqueued(store, each)
    worker.run()
    page = read(address(store, lambda: (tally.numbers(), {"processes": 1, **worker.load()})))
    assert page[("started_total", "default", f"{HERE}.succeed")] == 2
    assert {key[1:]: number for key, number in page.items() if key[0] == "finished_total"} == {
        ("succeeded", "default", f"{HERE}.succeed"): 2,
        ("failed", "default", f"{HERE}.fail"): 1,
    }
    for what in ("wait_seconds", "run_seconds"):
        buckets = [number for key, number in page.items() if key[0] == f"{what}_bucket" and f"{HERE}.succeed" in key]
        assert buckets == sorted(buckets)
        assert buckets[-1] == 2
        count = [number for key, number in page.items() if key[0] == f"{what}_count" and f"{HERE}.succeed" in key]
        assert count == [2]
    assert page[("slots", "thread")] == 4
    assert page[("slots", "coroutine")] == WorkerConfig().async_concurrency
    assert page[("slots_busy", "thread")] == page[("slots_busy", "coroutine")] == page[("claims_held",)] == 0
    assert page[("processes",)] == 1
    assert page[("lease_lost_total",)] == 0
    assert page[("memory_bytes",)] > 2**20
    # A system that does not tell it.
    assert ("memory_bytes",) not in read(address(store, lambda: (tally.numbers(), {"processes": 1})))


def test_the_page_tells_what_lies_in_the_store(address: Any) -> None:
    clock = Clock()
    store = Store(now=clock)
    enqueued(store, succeed)
    store.enqueue([job_for(succeed.using(queue_name="emails", run_after=timedelta(days=1)))])
    clock.jump(-100)
    enqueued(store, succeed)
    store.pause("emails")
    page = read(address(store, queues=["default", "emails", "idle"]))
    assert page[("queue_tasks", "default", "pending")] == 2
    assert page[("queue_tasks", "emails", "scheduled")] == 1
    assert page[("queue_tasks", "emails", "pending")] == 0
    assert 100 <= page[("queue_oldest_seconds", "default")] < 200
    assert page[("queue_oldest_seconds", "emails")] == 0
    assert (page[("queue_paused", "emails")], page[("queue_paused", "default")]) == (1, 0)
    # A queue that is empty is told of too.
    assert [page[("queue_tasks", "idle", state)] for state in ("pending", "scheduled", "retry", "running")] == [0] * 4
    assert (page[("store_up",)], page[("workers_alive",)]) == (1, 0)


def test_the_store_is_asked_once_in_a_while(address: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "KEPT", 3600.0)
    at = address(store)
    enqueued(store, succeed)
    assert [read(at)[("queue_tasks", "default", "pending")] for _ in range(3)] == [1] * 3
    assert store.asked == 1
    monkeypatch.setattr(prometheus, "KEPT", 0.0)
    read(at)
    assert store.asked == 2


def test_a_store_that_is_away_takes_only_its_own_numbers_with_it(address: Any, store: Store) -> None:
    store.is_away = True
    page = read(address(store, lambda: ({("lease_lost", "", "", ""): 3}, {}), queues=["default"]))
    assert page[("store_up",)] == 0
    assert page[("lease_lost_total",)] == 3
    assert not [key for key in page if key[0].startswith(("queue", "workers"))]


def test_names_are_written_so_that_they_can_be_read(address: Any, store: Store) -> None:
    queue = 'a "quoted"\\ one\nin two lines:東京'
    store.enqueue([job_for(succeed.using(queue_name=queue))])
    assert read(address(store))[("queue_tasks", queue, "pending")] == 1


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/metrics/", "/metricsx", "/../metrics"])
def test_there_is_no_other_page(address: Any, store: Store, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{address(store)}{path}", timeout=30)
    assert raised.value.code == 404
    raised.value.close()
    assert store.asked == 0


def test_a_client_that_says_nothing_holds_up_the_others_for_a_while_only(
    address: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prometheus._Page.timeout == prometheus.TIMEOUT
    monkeypatch.setattr(prometheus._Page, "timeout", 0.2)
    at = address(store)
    host, port = at.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))):
        assert read(at)[("store_up",)] == 1


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with prometheus.listen("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        prometheus.listen("127.0.0.1", first.getsockname()[1])


# In processes that enqueue


def test_a_web_process_counts_what_it_enqueues_in_its_own_registry(settings: Any, monkeypatch: Any) -> None:
    settings.TASKS = {"web": {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "QUEUES": []}}
    monkeypatch.setattr(prometheus, "_counter", None)
    registry = CollectorRegistry()
    try:
        prometheus.count_enqueued(registry)
        prometheus.count_enqueued(registry)
        mails = succeed.using(backend="web", queue_name="emails")
        mails.enqueue()
        mails.enqueue_many([((), {})] * 2)
        labels = {"backend": "web", "task": f"{HERE}.succeed", "queue": "emails"}
        assert registry.get_sample_value("reinhardt_tasks_enqueued_total", labels) == 3
    finally:
        prometheus.signals.task_enqueued.disconnect(dispatch_uid=prometheus.__name__)


def test_without_the_library_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['prometheus_client'] = None; import reinhardt_tasks.contrib.prometheus"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install prometheus-client, or" in done.stderr
