"""What the tasks have noted: when each was enqueued, began and ended, and in which process."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Seconds in which whatever is awaited has happened.
PATIENCE = 180.0


@dataclass(frozen=True, kw_only=True)
class Life:
    """One task's moments, in seconds since 1970; `enqueued` is when `enqueue()` had returned."""

    enqueued: float
    began: float
    ended: float
    pid: int

    @property
    def delay(self) -> float:
        return self.began - self.enqueued


def begun(path: Path) -> int:
    return path.read_bytes().count(b"began") if path.exists() else 0


def ended(path: Path, number: int) -> None:
    """Return when so many tasks have ended."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or path.read_bytes().count(b"ended") < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not all of {number} tasks have ended after {PATIENCE:g} s.")
        time.sleep(0.02)


def lives(path: Path, enqueued: Mapping[int, float]) -> dict[int, Life]:
    """Return the lives of those that have ended, by their numbers."""
    began: dict[int, tuple[float, int]] = {}
    found: dict[int, Life] = {}
    for line in path.read_text().splitlines():
        word, number, moment, pid = line.split()
        if word == "began":
            began[int(number)] = float(moment), int(pid)
        else:
            start, pid_ = began[int(number)]
            found[int(number)] = Life(
                enqueued=enqueued.get(int(number), 0.0), began=start, ended=float(moment), pid=pid_
            )
    return found


def span(some: Iterable[Life]) -> float:
    """Return the seconds from the first begin to the last end."""
    some = list(some)
    return max(life.ended for life in some) - min(life.began for life in some)


def longest_coincidence(some: Collection[Life], slots: int) -> float:
    """Return the longest time for which one slot was idle while tasks waited all the time; each process has `slots`.

    A task waits from its enqueueing to its begin. Which slot of a process took it is not known: the one that was idle for
    the longest time, it is said here.
    """
    waits = _waits(some)
    longest = 0.0
    for pid in {life.pid for life in some}:
        for idle_from, idle_to in _idle_times([life for life in some if life.pid == pid], slots):
            for wait_from, wait_to in waits:
                longest = max(longest, min(idle_to, wait_to) - max(idle_from, wait_from))
    return longest


def _waits(some: Collection[Life]) -> list[tuple[float, float]]:
    """Return the times during which at least one task waited."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted((life.enqueued, life.began) for life in some):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        elif end > begin:
            found.append((begin, end))
    return found


def _idle_times(some: Collection[Life], slots: int) -> Iterator[tuple[float, float]]:
    first, last = min(life.enqueued for life in some), max(life.ended for life in some)
    free = [first] * slots
    for life in sorted(some, key=lambda life: life.began):
        # Ends of tasks, too, are in the list before they come: the smallest is the one that has been idle longest.
        free.sort()
        yield free[0], life.began
        free[0] = life.ended
    yield from ((since, last) for since in free)
