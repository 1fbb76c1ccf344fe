"""The pipe between a supervisor and a worker process, and what the worker's end makes of what comes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reinhardt_tasks.brokers.base import Pulse
from reinhardt_tasks.worker.board import Board
from reinhardt_tasks.worker.child import SupervisedHeartbeat
from reinhardt_tasks.worker.link import Link
from tests.servers import wait_until


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    ours, theirs = Link.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_go_both_ways_in_order(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    for number in range(3):
        ours.tell(number=number, text="später")
    theirs.tell(bye="done")
    assert theirs.take() == [{"number": number, "text": "später"} for number in range(3)]
    assert ours.take() == [{"bye": "done"}]


def test_a_message_in_two_pieces_is_one(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    writer = ours._write
    os.write(writer, b'{"held":{"a"')
    assert theirs.take() == []
    os.write(writer, b':1}}\n{"dr')
    assert theirs.take() == [{"held": {"a": 1}}]
    os.write(writer, b'ain":"b"}\n')
    assert theirs.take() == [{"drain": "b"}]


def test_a_message_larger_than_the_pipe_arrives(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    held = {f"{number:036}": number for number in range(5_000)}
    thread = threading.Thread(target=lambda: theirs.tell(held=held))
    thread.start()
    found: list[dict[str, Any]] = []
    while not found:
        found += ours.take() or []
    thread.join(30)
    assert found == [{"held": held}]


def test_messages_of_many_threads_do_not_mix(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    threads = [
        threading.Thread(target=lambda n=n: [theirs.tell(thread=n, number=i) for i in range(200)]) for n in range(4)
    ]
    for each in threads:
        each.start()
    found: list[dict[str, Any]] = []
    while len(found) < 800:
        found += ours.take() or []
    for each in threads:
        each.join(30)
    assert [each["number"] for each in found if each["thread"] == 2] == list(range(200))


def test_an_end_that_is_gone_is_noticed_and_told_in_vain(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    theirs.tell(bye="stopped")
    theirs.close()
    assert list(ours.messages()) == [{"bye": "stopped"}]
    assert ours.take() is None
    ours.tell(drain="x")


class Ear:
    """A heartbeat under a supervisor that is this test, and what the worker is told by it."""

    def __init__(self, held: dict[str, int]) -> None:
        self.held = held
        self.pulses: list[tuple[dict[str, int], Pulse]] = []
        self.told: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.ours, self.theirs = Link.pair()
        self.heartbeat = SupervisedHeartbeat(
            self.theirs,
            Board(4),
            turns=lambda: 7,
            told=self.told.append,
            orphaned=lambda: self.calls.append("orphaned"),
            fat=lambda: self.calls.append("fat"),
            max_bytes=1,
        )
        self.heartbeat.connect(lambda: dict(self.held), self.pulsed)

    def pulsed(self, believed: dict[str, int], pulse: Pulse) -> None:
        self.pulses.append((believed, pulse))

    def tell(self, held: dict[str, int], asked: float, cancelled: tuple[str, ...] = ()) -> None:
        self.ours.tell(held=held, cancelled=list(cancelled), asked=asked)

    def close(self) -> None:
        self.heartbeat.close()
        os.close(self.ours._write)


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear({"a": 1})
    yield made
    made.close()


def test_a_pulse_is_passed_on_with_what_was_held_before(ear: Ear) -> None:
    ear.heartbeat.start()
    wait_until(lambda: "fat" in ear.calls, "it is up")
    ear.held = {"a": 1, "b": 1}
    ear.tell({"a": 1}, time.monotonic(), ("a",))
    ear.ours.tell(drain="a")
    wait_until(lambda: ear.told, "both come")
    assert ear.pulses == [({"a": 1}, Pulse(held={"a": 1}, cancelled=frozenset({"a"})))]
    assert ear.told == [{"drain": "a"}]


def test_progress_and_memory_are_told(ear: Ear) -> None:
    ear.heartbeat.start()
    wait_until(lambda: "fat" in ear.calls, "the memory is looked at")
    (message,) = ear.ours.take() or []
    assert (message["turns"], message["running"]) == (7, 1)


def test_a_supervisor_that_is_gone_is_noticed() -> None:
    ear = Ear({})
    ear.heartbeat.start()
    ear.ours.close()
    wait_until(lambda: "orphaned" in ear.calls, "it is noticed")
    ear.heartbeat.close()


def test_an_old_pulse_says_nothing_of_what_was_claimed_since(ear: Ear) -> None:
    # The process was slow to listen: the store was asked for the second pulse before "b" was claimed.
    def pulsed(believed: dict[str, int], pulse: Pulse) -> None:
        ear.pulses.append((believed, pulse))
        ear.held["b"] = 1

    ear.heartbeat.connect(lambda: dict(ear.held), pulsed)
    early = time.monotonic() + 60
    ear.tell({"a": 1}, early)
    ear.tell({"a": 1}, time.monotonic() - 60)
    ear.tell({"a": 1, "b": 1}, early + 120)
    ear.heartbeat.start()
    wait_until(lambda: ear.pulses and "b" in ear.pulses[-1][1].held, "the last one comes")
    for believed, pulse in ear.pulses:
        assert set(believed) <= set(pulse.held), "a task was thought to be taken away that had just come"
