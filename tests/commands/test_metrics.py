"""`runworker --metrics-port`: one page for a worker and all its processes, whose counts only grow."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import TaskStatus
from tests import tasks as plain
from tests.worker.processes import WorkerProcess
from tests.worker.supervised import tasks
from tests.worker.supervised.running import SupervisedProcess, is_alive, lines_of, until

NOTE, HOLD = "tests.tasks.note", "tests.worker.supervised.tasks.hold"


@pytest.fixture(params=["fork", "spawn"])
def supervised(request: pytest.FixtureRequest, setting: dict[str, Any]) -> Iterator[SupervisedProcess]:
    flags = ("--metrics-port", "0", "--start-method", request.param, "--concurrency", "1", "--max-tasks", "20")
    flags += ("--shutdown-timeout", "300")
    with SupervisedProcess(*flags, tasks=setting) as worker:
        yield worker


def address_of(worker: WorkerProcess) -> str:
    worker.ready()
    found = re.search(r"^  metrics +(http://127\.0\.0\.1:\d+/metrics)$", worker.stdout, re.M)
    assert found is not None, worker.stdout
    return found[1]


def page(worker: WorkerProcess) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(address_of(worker), timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name.removeprefix("reinhardt_tasks_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(worker: WorkerProcess, name: str, **labels: str) -> float:
    wanted = frozenset({"backend": "default", **labels}.items())
    return sum(number for (found, given), number in page(worker).items() if found == name and wanted <= given)


def finished(*results: Any) -> None:
    broker = task_backends["default"].broker
    ids = [each.id for each in results]
    until(lambda: all(job.status.is_finished for job in broker.get(ids).values()), f"{len(ids)} tasks finish")


def notes(lines: Path, number: int) -> list[Any]:
    return plain.note.enqueue_many([((str(lines), "x"), {}) for _ in range(number)])


def exporter_of(worker: SupervisedProcess) -> int:
    """Return the process that serves the page: the one that is no worker."""
    broker = task_backends["default"].broker
    until(lambda: len([each for each in broker.workers() if each.is_alive]) == 2, "both workers sign in")
    pids = {each.info.pid for each in broker.workers() if each.is_alive}
    (pid,) = until(lambda: len(worker.children - pids) == 1 and worker.children - pids, "one more process")
    return int(pid)


def test_a_worker_alone_serves_its_own(setting: dict[str, Any], lines: Path) -> None:
    with WorkerProcess("--metrics-port", "0", tasks=setting) as worker:
        finished(*notes(lines, 5))
        until(lambda: value(worker, "finished_total", task=NOTE, outcome="succeeded") == 5, "all are counted")
        assert value(worker, "processes") == 1
        assert value(worker, "workers_alive") == 1
        assert value(worker, "memory_bytes") > 2**20
        worker.terminate()
        assert worker.ended() == 0, worker.stderr


def test_processes_that_are_replaced_take_no_counts_with_them(supervised: SupervisedProcess, lines: Path) -> None:
    worker = supervised
    seen = 0.0
    for number in range(1, 4):
        finished(*notes(lines, 50))
        until(
            lambda wanted=50 * number: value(worker, "finished_total", task=NOTE, outcome="succeeded") == wanted,
            "the counts of all processes, old and new, are there",
        )
        now = value(worker, "run_seconds_count", task=NOTE)
        assert now >= seen
        seen = now
    assert seen == 150
    assert value(worker, "wait_seconds_count", task=NOTE) == value(worker, "started_total", task=NOTE) == 150
    until(lambda: value(worker, "processes") == 2, "two processes")
    each = [record.info.memory or 0 for record in task_backends["default"].broker.workers() if record.is_alive]
    until(lambda: value(worker, "memory_bytes") > max(each), "the memory of both")
    worker.stopped()


def test_what_a_killed_process_ran_is_lost_once(supervised: SupervisedProcess, lines: Path, go: Path) -> None:
    worker = supervised
    finished(*notes(lines.with_name("notes"), 10))
    until(lambda: value(worker, "finished_total", task=NOTE, outcome="succeeded") == 10, "all are counted")
    result = tasks.hold.enqueue(str(lines), "it", str(go))
    victim = int(until(lambda: lines_of(lines, "began"), "it runs")[-1][-1])
    until(lambda: value(worker, "slots_busy", kind="thread") == 1, "it is seen to run")
    assert value(worker, "claims_held") == 1
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(lines_of(lines, "began")) == 2, "it runs again")
    go.touch()
    finished(result)
    until(lambda: value(worker, "finished_total", task=HOLD, outcome="succeeded") == 1, "its end is counted")
    assert value(worker, "finished_total", task=HOLD, outcome="lost") == 1
    assert value(worker, "finished_total", task=NOTE, outcome="succeeded") == 10
    worker.stopped()


def test_the_address_may_be_another(setting: dict[str, Any]) -> None:
    flags = ("--metrics-host", "0.0.0.0", "--metrics-port", "0", "--burst")
    with WorkerProcess(*flags, tasks=setting) as worker:
        assert worker.ended() == 0, worker.stderr
        assert re.search(r"^  metrics +http://0\.0\.0\.0:\d+/metrics$", worker.stdout, re.M)


def test_a_killed_exporter_is_replaced_and_shows_the_same(supervised: SupervisedProcess, lines: Path) -> None:
    worker = supervised
    finished(*notes(lines, 10))
    until(lambda: value(worker, "finished_total", task=NOTE, outcome="succeeded") == 10, "all are counted")
    first = exporter_of(worker)
    os.kill(first, signal.SIGKILL)
    worker.says("another takes its place")
    assert exporter_of(worker) != first
    assert value(worker, "finished_total", task=NOTE, outcome="succeeded") == 10
    worker.stopped()


def test_the_port_is_free_when_the_worker_is_gone_however_it_went(
    supervised: SupervisedProcess, go: Path, lines: Path
) -> None:
    worker = supervised
    port = int(re.search(r":(\d+)/", address_of(worker))[1])  # type: ignore[index]
    exporter = exporter_of(worker)
    # A worker process that goes on for a while has no part in the port.
    tasks.hold.enqueue(str(lines), "it", str(go))
    until(lambda: lines_of(lines, "began"), "it runs")
    try:
        worker.kill()
        until(lambda: not is_alive(exporter), "the exporter is gone")
        until(lambda: _is_free(port), "the port is free")
    finally:
        go.touch()


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_a_reload_serves_on_the_same_port(setting: dict[str, Any], lines: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with SupervisedProcess("--metrics-port", str(port), tasks=setting) as worker:
        assert value(worker, "store_up") == 1
        worker.process.send_signal(signal.SIGHUP)
        until(lambda: worker.stdout.count("Ready.") == 2, "it starts anew")
        until(lambda: value(worker, "processes") == 2, "it serves")
        worker.stopped()


def test_a_port_that_is_taken_is_told_at_the_start(setting: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with WorkerProcess("--metrics-port", port, tasks=setting) as worker:
            assert worker.ended() == 2
            assert f"nobody can listen on 127.0.0.1:{port} (Address already in use)" in worker.stderr
            assert "Ready." not in worker.stdout


@pytest.mark.parametrize("port", ["-1", "65536", "web"])
def test_a_port_that_cannot_be_is_refused(setting: dict[str, Any], port: str) -> None:
    with WorkerProcess("--metrics-port", port, tasks=setting) as worker:
        assert worker.ended() == 2
        assert "--metrics-port" in worker.stderr


def test_what_a_task_enqueues_is_counted(setting: dict[str, Any], lines: Path) -> None:
    with SupervisedProcess("--metrics-port", "0", processes=1, tasks=setting) as worker:
        finished(tasks.enqueue_note.enqueue(str(lines)))
        until(lambda: value(worker, "finished_total", task=NOTE, outcome="succeeded") == 1, "the second has run")
        assert value(worker, "enqueued_total", task=NOTE, queue="default") == 1
        assert value(worker, "enqueued_total") == 1
        worker.stopped()
    assert {job.status for job in task_backends["default"].broker.find(_all())} == {TaskStatus.SUCCESS}


def _all() -> Any:
    from reinhardt_tasks.brokers.base import Query

    return Query()
