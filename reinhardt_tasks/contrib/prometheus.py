"""Metrics for Prometheus: the page that `runworker --metrics-port` serves, and a counter for processes that only enqueue.

Needs the extra `prometheus`.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import accumulate
from typing import Any

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        f"Metrics need prometheus-client ({exc}): pip install prometheus-client, or this package with its extra 'prometheus'."
    ) from exc

from .. import signals
from ..brokers.base import Broker, QueueCounts
from ..exceptions import QueueError
from ..jobs import TaskStatus
from ..worker.tally import BUCKETS, LIMIT, SUM, Key, Source

logger = logging.getLogger("reinhardt_tasks")

#: Seconds for which what the store said is shown again, and those that a client has for its request.
KEPT, TIMEOUT = 5.0, 5.0

_STATES = (TaskStatus.PENDING, TaskStatus.SCHEDULED, TaskStatus.RETRY, TaskStatus.RUNNING)
_counter: Counter | None = None


def count_enqueued(registry: CollectorRegistry = REGISTRY) -> None:
    """Count, from now on, what this process enqueues: `reinhardt_tasks_enqueued_total`. Once is enough.

    For web processes, which show their own metrics in their own way.
    """
    global _counter
    if _counter is None:
        _counter = Counter("reinhardt_tasks_enqueued", _ENQUEUED, ["backend", "task", "queue"], registry=registry)
        signals.task_enqueued.connect(_count, weak=False, dispatch_uid=__name__)


def _count(task_result: Any, **facts: Any) -> None:
    task = task_result.task
    assert _counter is not None
    _counter.labels(task_result.backend, task.module_path, task.queue_name).inc()


_ENQUEUED = "Tasks enqueued by this process."


class WorkerCollector(Collector):
    """What a worker, or a supervisor's workers together, have done and do."""

    def __init__(self, alias: str, source: Source) -> None:
        self._alias = alias
        self._source = source

    def collect(self) -> Iterator[Metric]:
        numbers, load = self._source()
        yield self._counter("enqueued", "Tasks enqueued by tasks.", numbers)
        yield self._counter("started", "Attempts begun.", numbers)
        yield self._counter("finished", "Attempts ended, by outcome.", numbers, "outcome")
        lost = CounterMetricFamily(
            "reinhardt_tasks_lease_lost", "Claims taken from a worker that still lived.", labels=["backend"]
        )
        lost.add_metric([self._alias], sum(number for key, number in numbers.items() if key[0] == "lease_lost"))
        yield lost
        yield self._histogram("wait", "Seconds from the moment a task was due until it began.", numbers)
        yield self._histogram("run", "Seconds that an attempt ran.", numbers)
        yield from self._gauges(load)

    def _counter(self, what: str, words: str, numbers: dict[Key, float], label: str = "") -> Metric:
        labels = ["backend", "task", "queue", *([label] if label else [])]
        family = CounterMetricFamily(f"reinhardt_tasks_{what}", words, labels=labels)
        for (kind, task, queue, more), number in numbers.items():
            if kind == what:
                alias = more if what == "enqueued" else self._alias
                family.add_metric([alias, task, queue, *([more] if label else [])], number)
        return family

    def _histogram(self, what: str, words: str, numbers: dict[Key, float]) -> Metric:
        family = HistogramMetricFamily(f"reinhardt_tasks_{what}_seconds", words, labels=["backend", "task", "queue"])
        series: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        for (kind, task, queue, more), number in numbers.items():
            if kind == what:
                series[(task, queue)][more] = number
        for (task, queue), found in series.items():
            totals = accumulate(found.get(str(index), 0) for index in range(len(BUCKETS) + 1))
            limits = [*map(str, BUCKETS), "+Inf"]
            family.add_metric([self._alias, task, queue], list(zip(limits, totals, strict=True)), found.get(SUM, 0.0))
        return family

    def _gauges(self, load: dict[str, float]) -> Iterator[Metric]:
        slots = GaugeMetricFamily(
            "reinhardt_tasks_slots", "Tasks that can run at one time.", labels=["backend", "kind"]
        )
        busy = GaugeMetricFamily("reinhardt_tasks_slots_busy", "Tasks that run now.", labels=["backend", "kind"])
        for kind in ("thread", "coroutine"):
            slots.add_metric([self._alias, kind], load.get(f"{kind}_slots", 0))
            busy.add_metric([self._alias, kind], load.get(f"{kind}_busy", 0))
        yield slots
        yield busy
        yield _gauge("claims_held", "Tasks claimed and not yet settled.", self._alias, load.get("held", 0))
        yield _gauge("processes", "Worker processes of this worker.", self._alias, load.get("processes", 0))
        memory = GaugeMetricFamily(
            "reinhardt_tasks_memory_bytes", "Resident memory of these processes, and of all below.", labels=["backend"]
        )
        if "memory" in load:
            memory.add_metric([self._alias], load["memory"])
        yield memory


class StoreCollector(Collector):
    """What lies in the store. It is asked when somebody looks, once in a few seconds at most, for bounded work."""

    def __init__(self, alias: str, broker: Broker, queues: Collection[str] = ()) -> None:
        self._alias = alias
        self._broker = broker
        self._queues = queues
        self._families: list[Metric] = []
        self._asked_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        if time.monotonic() - self._asked_at >= KEPT:
            self._families = self._ask()
            self._asked_at = time.monotonic()
        return self._families

    def _ask(self) -> list[Metric]:
        try:
            counts = {each.queue: each for each in self._broker.counts()[:LIMIT]}
            workers = sum(each.is_alive for each in self._broker.workers())
        except QueueError as exc:
            logger.warning("The metrics lack what the store would tell: %s", exc)
            return [self._is_up(False)]
        finally:
            self._broker.close()
        labels, now = ["backend", "queue"], datetime.now(UTC)
        depth = GaugeMetricFamily(
            "reinhardt_tasks_queue_tasks",
            f"Tasks in each state that is not finished, up to {self._broker.COUNT_LIMIT}.",
            labels=[*labels, "state"],
        )
        oldest = GaugeMetricFamily(
            "reinhardt_tasks_queue_oldest_seconds", "Seconds that the oldest ready task has waited.", labels=labels
        )
        paused = GaugeMetricFamily("reinhardt_tasks_queue_paused", "Whether the queue is paused.", labels=labels)
        # A queue of the settings is told of when it is empty too: what vanishes from a graph could be anything.
        for each in (counts.get(queue) or QueueCounts(queue=queue, counts={}) for queue in {*counts, *self._queues}):
            for state in _STATES:
                depth.add_metric([self._alias, each.queue, state.value.lower()], each.counts.get(state, 0))
            age = 0.0 if each.oldest_due_at is None else max(0.0, (now - each.oldest_due_at).total_seconds())
            oldest.add_metric([self._alias, each.queue], age)
            paused.add_metric([self._alias, each.queue], float(each.is_paused))
        alive = _gauge("workers_alive", "Workers of the backend within their lease, everywhere.", self._alias, workers)
        return [self._is_up(True), depth, oldest, paused, alive]

    def _is_up(self, is_up: bool) -> Metric:
        return _gauge("store_up", "Whether the store answered.", self._alias, float(is_up))


def _gauge(name: str, words: str, alias: str, value: float) -> Metric:
    family = GaugeMetricFamily(f"reinhardt_tasks_{name}", words, labels=["backend"])
    family.add_metric([alias], value)
    return family


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; nobody answers yet. Raise OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=16)


def serve(
    listening: socket.socket, alias: str, broker: Broker, source: Source, queues: Collection[str] = ()
) -> HTTPServer:
    """Serve the metrics of a backend at /metrics, from a thread; `shutdown()` of what this returns ends it.

    `queues` are those that its settings name.
    """
    registry = CollectorRegistry()
    registry.register(WorkerCollector(alias, source))
    registry.register(StoreCollector(alias, broker, queues))

    class Page(_Page):
        shown = registry

    server = HTTPServer(listening.getsockname()[:2], Page, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    threading.Thread(target=server.serve_forever, name="reinhardt-metrics", daemon=True).start()
    return server


class _Page(BaseHTTPRequestHandler):
    """One page, and nothing else. One client at a time: a slow one has TIMEOUT seconds for each of its bytes."""

    shown: CollectorRegistry
    timeout = TIMEOUT
    server_version, sys_version = "reinhardt_tasks", ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, explain="The metrics are at /metrics.")
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        text = encode(self.shown)
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a page is asked for every few seconds."""
