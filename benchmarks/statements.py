"""What one worker asks of its database for each no-op task: `python -m benchmarks.statements`."""

from __future__ import annotations

import argparse
import time

from .remote import Remote
from .stores import STORES, Counters, Store
from .systems import OURS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statements", description=__doc__)
    parser.add_argument("--store", nargs="+", choices=list(STORES), default=["sqlite", "postgresql"])
    parser.add_argument("--tasks", type=int, default=10_000, help="Tasks to drain (default: %(default)s).")
    options = parser.parse_args()
    print("| store | tasks | statements a task | commits a task |\n|---|--:|--:|--:|")
    for name in options.store:
        with STORES[name]() as store:
            counted = _count(store, options.tasks)
        commits = "–" if counted.commits is None else f"{counted.commits / options.tasks:.3f}"
        print(f"| {name} | {options.tasks:,} | {counted.statements / options.tasks:.3f} | {commits} |", flush=True)


def _count(store: Store, tasks: int) -> Counters:
    """Return what a worker asks from its start until all is done, what is asked here to see that not included."""
    place = store.new_place()
    with Remote(OURS, place.environment, place.folder) as remote:
        remote.setup()
        remote.fill(count=tasks)
        before, looks = place.counters(), 0
        remote.start_worker(trace=place.trace)
        while remote.left():
            looks += 1
            time.sleep(0.2)
        looks += 1
        # PostgreSQL tells of a transaction a little later.
        time.sleep(1.5)
        counted = place.counters().since(before)
    # On SQLite only the worker notes what it asks.
    own = 0 if place.trace else looks
    return Counters(counted.statements - own, None if counted.commits is None else counted.commits - own)


if __name__ == "__main__":
    main()
