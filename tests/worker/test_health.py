"""What a worker tells systemd and writes into its health file, and that it does neither while nothing moves."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Pulse, WorkerInfo
from reinhardt_tasks.brokers.memory import MemoryBroker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.worker.health import Health, Vitals, watched
from reinhardt_tasks.worker.sdnotify import Notifier
from tests.servers import wait_until

from .processes import SOON, WorkerProcess
from .running import AT_ONCE, Clock, working
from .supervised.running import SupervisedProcess

#: In microseconds: what WATCHDOG_USEC says to the workers of these tests.
WATCHDOG = "2000000"


class Manager:
    """A socket as systemd has one, and what came to it: (process, message)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.letters: list[tuple[int, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def read(self) -> list[str]:
        """Return all messages so far."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
            except BlockingIOError:
                return [text for _, text in self.letters]
            pid, _, _ = struct.unpack("3i", ancillary[0][2])
            self.letters.append((pid, data.decode()))

    def count(self, words: str) -> int:
        return sum(text.startswith(words) for text in self.read())

    def gets(self, words: str, times: int = 1) -> None:
        """Return when messages that begin with `words` have come so many times."""
        wait_until(lambda: self.count(words) >= times, f"{times} times {words}", timeout=SOON)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def any_manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@reinhardt-test-{os.getpid()}")
    yield manager
    manager.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "worker.json"


def said(file: Path) -> dict[str, Any]:
    """Return what a health file says, or nothing while there is none."""
    try:
        facts: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    return facts


def says(file: Path, **facts: Any) -> None:
    wait_until(lambda: facts.items() <= said(file).items(), f"{file.name} says {facts}", timeout=SOON)


# A worker in a process of its own


def test_systemd_hears_of_a_worker_from_its_start_to_its_end(any_manager: Manager, setting: dict[str, Any]) -> None:
    with WorkerProcess(tasks=setting, NOTIFY_SOCKET=any_manager.address, WATCHDOG_USEC=WATCHDOG) as worker:
        any_manager.gets("READY=1")
        any_manager.gets("STATUS=Ready: 0 running")
        any_manager.gets("WATCHDOG=1", times=3)
        worker.process.send_signal(signal.SIGTSTP)
        any_manager.gets("STATUS=Quiet")
        assert any_manager.count("STOPPING=1") == 0
        worker.terminate()
        assert worker.ended() == 0, worker.stderr
    assert [text for text in any_manager.read() if text in ("READY=1", "STOPPING=1")] == ["READY=1", "STOPPING=1"]


def test_the_file_tells_how_a_worker_is_and_goes_with_it(file: Path, setting: dict[str, Any]) -> None:
    with WorkerProcess("--health-file", str(file), tasks=setting) as worker:
        says(file, pid=worker.process.pid, state="ready", running=0, processes=1)
        before = said(file)
        wait_until(lambda: said(file)["turns"] > before["turns"] + 1, "it is written again and again", timeout=SOON)
        assert said(file)["time"] > before["time"]
        worker.process.send_signal(signal.SIGTSTP)
        says(file, state="quiet")
        worker.terminate()
        assert worker.ended() == 0, worker.stderr
    assert list(file.parent.iterdir()) == []


def test_a_worker_outlives_a_manager_that_is_gone(file: Path, tmp_path: Path, setting: dict[str, Any]) -> None:
    gone = str(tmp_path / "nobody")
    with WorkerProcess("--health-file", str(file), tasks=setting, NOTIFY_SOCKET=gone) as worker:
        says(file, state="ready")
        worker.says("The service manager could not be told READY=1")
        worker.terminate()
        assert worker.ended() == 0
        assert worker.stderr.count("could not be told") == 1


def test_a_file_that_cannot_be_is_refused(tmp_path: Path, setting: dict[str, Any]) -> None:
    with WorkerProcess("--health-file", str(tmp_path / "no" / "where"), tasks=setting) as worker:
        assert worker.ended() == 2
        assert "must be a file in a folder that can be written to" in worker.stderr


# A supervisor


def test_a_supervisor_speaks_for_its_processes(manager: Manager, file: Path, setting: dict[str, Any]) -> None:
    flags = ("--health-file", str(file))
    with SupervisedProcess(*flags, tasks=setting, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC=WATCHDOG) as worker:
        worker.complete()
        manager.gets("READY=1")
        manager.gets("WATCHDOG=1", times=3)
        says(file, pid=worker.process.pid, state="ready", processes=2)
        wait_until(lambda: said(file)["heartbeat"], "a heartbeat got through", timeout=SOON)
        worker.stopped()
        assert manager.count("STOPPING=1") == 1
        assert {pid for pid, _ in manager.letters} == {worker.process.pid}
    assert not file.exists()


def test_a_reload_is_no_stop(manager: Manager, setting: dict[str, Any]) -> None:
    with SupervisedProcess(tasks=setting, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC=WATCHDOG) as worker:
        worker.complete()
        manager.gets("READY=1")
        began = time.monotonic_ns() // 1000
        worker.process.send_signal(signal.SIGHUP)
        manager.gets("RELOADING=1")
        manager.gets("READY=1", times=2)
        assert manager.count("STOPPING=1") == 0
        (letter,) = [text for text in manager.read() if text.startswith("RELOADING=1")]
        assert int(letter.partition("MONOTONIC_USEC=")[2]) >= began
        worker.complete()
        worker.stopped()
    assert manager.count("STOPPING=1") == 1


# No progress, no sign


class Broker(MemoryBroker):
    """A store that keeps its callers waiting, or does not answer heartbeats, when a test says so."""

    def __init__(self) -> None:
        super().__init__(now=Clock())
        self.open = threading.Event()
        self.open.set()
        self.is_waited_for = threading.Event()
        self.hears = True

    def exchange(self, *args: Any, **kwargs: Any) -> Any:
        if not self.open.is_set():
            self.is_waited_for.set()
            assert self.open.wait(SOON)
        return super().exchange(*args, **kwargs)

    def heartbeat(self, worker: WorkerInfo) -> Pulse:
        if not self.hears:
            raise QueueError("It hears nothing.")
        return super().heartbeat(worker)


class Hours:
    """A clock on which as much time passes as a test wants, beside the real one."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def pings_again(manager: Manager, look: Callable[[], None]) -> None:
    before = manager.count("WATCHDOG=1")

    def has_pinged() -> bool:
        look()
        return manager.count("WATCHDOG=1") > before

    wait_until(has_pinged, "the watchdog hears of it", timeout=SOON)


def test_a_loop_that_is_stuck_says_nothing(manager: Manager, file: Path) -> None:
    broker, hours = Broker(), Hours()
    with working(broker) as worker:
        health = Health(worker.vitals, 1e6, file, Notifier(manager.address, watchdog=2), hours)
        health.begin()
        pings_again(manager, health.look)
        broker.open.clear()
        worker.wake()
        assert broker.is_waited_for.wait(SOON)
        hours.ahead += 10
        health.look()
        before, written = manager.count("WATCHDOG=1"), said(file)
        for _ in range(50):
            hours.ahead += 10
            health.look()
        assert manager.count("WATCHDOG=1") == before
        assert said(file) == written
        broker.open.set()
        pings_again(manager, health.look)
        wait_until(lambda: health.look() or said(file) != written, "the file is written again", timeout=SOON)


def test_a_worker_that_its_store_hears_no_more_says_nothing(manager: Manager, file: Path) -> None:
    broker = Broker()
    with working(broker, BackendOptions(backoff=AT_ONCE, lease=2)) as worker:
        health = Health(worker.vitals, worker.info.lease, file, Notifier(manager.address, watchdog=0.1))
        health.begin()
        pings_again(manager, health.look)
        wait_until(lambda: worker.beat_at, "a heartbeat gets through", timeout=SOON)
        broker.hears = False

        def is_cut_off() -> bool:
            health.look()
            return manager.count("STATUS=Cut off") > 0

        wait_until(is_cut_off, "the lease is over", timeout=SOON)
        before, written, turns = manager.count("WATCHDOG=1"), said(file), worker.turns
        wait_until(lambda: health.look() or worker.turns > turns + 1, "the loop turns all the same", timeout=SOON)
        assert manager.count("WATCHDOG=1") == before
        assert said(file) == written
        broker.hears = True
        pings_again(manager, health.look)


def test_a_thread_looks_while_the_worker_runs(manager: Manager, file: Path) -> None:
    with working(Broker()) as worker:
        health = Health(worker.vitals, worker.info.lease, file, Notifier(manager.address, watchdog=1))
        with watched(health):
            manager.gets("WATCHDOG=1", times=3)
            says(file, state="ready")
        assert manager.read()[-1] == "STOPPING=1"
        assert not file.exists()


def test_who_reads_the_file_never_sees_half_of_it(file: Path) -> None:
    turns = iter(range(1_000_000))
    hours = Hours()

    def vitals() -> Vitals:
        return Vitals(state="ready", turns=next(turns), running=0, beat_at=hours())

    health = Health(vitals, 30, file, now=hours)
    health.begin()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            hours.ahead += 1
            health.look()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(said(file)["state"] == "ready" for _ in range(2000))
    finally:
        done.set()
        writer.join()


# The environment


def test_without_a_socket_nothing_is_sent() -> None:
    notifier = Notifier.from_environment({"WATCHDOG_USEC": WATCHDOG})
    assert not notifier.is_on and notifier.watchdog is None
    notifier.tell("READY=1")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_a_watchdog_is_fed_by_whom_it_waits_for(variables: dict[str, str], expected: float | None) -> None:
    assert Notifier.from_environment({"NOTIFY_SOCKET": "/run/notify", **variables}).watchdog == expected


def test_an_address_of_another_kind_is_left_alone() -> None:
    assert not Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}).is_on
