"""The five measurements of one system on one empty place."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .processes import cpu_seconds
from .remote import DriverFailed, Remote
from .stores import Place
from .systems import System

#: Seconds between two looks at how many tasks are left, and seconds for a worker to begin at all.
LOOK, BEGIN = 0.1, 60


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured in a round."""

    one_by_one: int = 1000
    bulk: int = 10_000
    drained: int = 20_000
    #: Seconds after which the rate of a drain is taken as it is.
    drain_limit: float = 12
    delays: int = 34
    #: The longest pause before a task for the idle worker: longer than the longest interval at which a system polls.
    pause: float = 1.05
    idle: float = 15


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A row of the tables. `key` is its name in a round's numbers."""

    key: str
    title: str
    more_is_better: bool = False


MEASURES = (
    Measure(key="enqueue", title="Enqueue one by one, tasks/s", more_is_better=True),
    Measure(key="bulk", title="Enqueue in bulk, tasks/s", more_is_better=True),
    Measure(key="drain", title="Drain with one worker process, tasks/s", more_is_better=True),
    Measure(key="p50", title="Idle to start, p50, ms"),
    Measure(key="p99", title="Idle to start, p99, ms"),
    Measure(key="idle_statements", title="Idle, statements/s"),
    Measure(key="idle_cpu", title="Idle, CPU ms/s"),
)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round says of one system: numbers by the keys of MEASURES, and every delay, in seconds."""

    numbers: dict[str, float]
    delays: list[float]


def measure(system: System, place: Place, plan: Plan) -> Round:
    """Run all measurements of one system on a place that nobody has used."""
    numbers: dict[str, float] = {}
    with Remote(system, place.environment, place.folder) as remote:
        has_bulk = remote.setup()["has_bulk"]
        pid = remote.start_worker(trace=place.trace)
        delays = _delays(remote, place, plan)
        numbers |= _idle(place, pid, plan.idle)
        remote.stop()
        numbers["enqueue"] = plan.one_by_one / remote.enqueue(count=plan.one_by_one)
        if has_bulk:
            numbers["bulk"] = plan.bulk / remote.bulk(count=plan.bulk)
        remote.fill(count=max(0, plan.drained - plan.one_by_one - has_bulk * plan.bulk))
        numbers["drain"] = _drain(remote, plan.drain_limit)
        remote.stop()
    return Round(numbers=numbers, delays=delays)


def _drain(remote: Remote, limit: float) -> float:
    """Return tasks per second from the first one's end on; what a worker needs to start is not in it."""
    total = remote.left()
    remote.start_worker()
    started = time.perf_counter()
    first: tuple[float, int] | None = None
    while True:
        left, now = remote.left(), time.perf_counter()
        if first is None and left < total:
            first = now, left
        if left == 0 or (first and now - first[0] > limit):
            break
        if first is None and now - started > BEGIN or not remote.is_alive():
            raise DriverFailed(f"{remote.system.name}: the worker does not work.\n{remote._last_words('its log')}")
        time.sleep(LOOK)
    assert first is not None
    if first[1] == left:
        # Too few tasks to see two moments of it: with the start, then, which is a bound from below.
        return total / (now - started)
    return (first[1] - left) / (now - first[0])


def _delays(remote: Remote, place: Place, plan: Plan) -> list[float]:
    """Return the seconds from the call of `enqueue` to the task's first line, with the worker idle before each."""
    # The first ones tell that the worker is there.
    remote.delays(path=str(place.folder / "first"), count=2, longest_pause=plan.pause)
    delays: list[float] = remote.delays(path=str(place.folder / "delays"), count=plan.delays, longest_pause=plan.pause)
    return delays


def _idle(place: Place, pid: int, seconds: float) -> dict[str, float]:
    time.sleep(2)
    counters, cpu, began = place.counters(), cpu_seconds(pid), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    return {
        "idle_statements": place.counters().since(counters).statements / took,
        "idle_cpu": (cpu_seconds(pid) - cpu) / took * 1000,
    }
