"""How much memory a worker has: its process and all that this has started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.worker import Worker, WorkerConfig, memory
from reinhardt_tasks.worker.memory import resident_bytes, tree_bytes, weighed

from .running import Door

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc to read it from")

#: What a process of the tests takes, its Python aside.
LARGE = 64 * 2**20
#: Holds it, tells that, and stays until it is let go.
HOLDER = f"held = b'x' * {LARGE}; print('held', flush=True); input()"
#: The same, one process further down.
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@pytest.mark.parametrize("words", [[HOLDER], [PARENT, HOLDER]], ids=["child", "grandchild"])
def test_what_a_process_has_started_is_counted(words: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None and started.stdout.readline() == "held\n"
        counted = tree_bytes(os.getpid())
        started.communicate("\n")
    assert counted is not None and counted > resident_bytes() + LARGE


def test_no_more_than_some_processes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST", 1)
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None and started.stdout.readline() == b"held\n"
        counted = tree_bytes(os.getpid())
        started.communicate(b"\n")
    assert counted is not None and counted < resident_bytes() + LARGE


def test_nothing_is_told_of_a_process_that_is_not_there() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert tree_bytes(gone.pid) is None
    assert weighed(WorkerInfo(id="w", pid=gone.pid, memory=1)).memory is None


def test_a_worker_tells_it_as_it_signs_in() -> None:
    broker = MemoryBroker()
    worker = Worker(broker, BackendOptions(), Door, WorkerConfig())
    broker.claim(None, 1, worker.info)
    (record,) = broker.workers()
    assert record.info.memory is not None and record.info.memory > 2**20
