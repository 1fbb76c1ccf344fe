"""What somebody's old open transaction costs a queue on PostgreSQL: `python -m benchmarks.old_transaction`.

While it is open no dead row may be cleared away, and a queue makes one with each claim. A broker that walks over them again at
each claim takes time in the square of their number.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .inside import broker_on, fill
from .stores import PostgresStore

if TYPE_CHECKING:
    from reinhardt_tasks.brokers.database import DatabaseBroker


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.old_transaction", description=__doc__)
    parser.add_argument("--tasks", type=int, default=200_000, help="Tasks to drain (default: %(default)s).")
    parser.add_argument("--batch", type=int, default=500, help="Tasks in one exchange (default: %(default)s).")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    print("| round | without, s | with, s | ratio |\n|--:|--:|--:|--:|")
    with PostgresStore() as store:
        for number in range(1, options.rounds + 1):
            free, held = (_drain(store, options.tasks, options.batch, is_held=is_held) for is_held in (False, True))
            print(f"| {number} | {free:.1f} | {held:.1f} | **{held / free:.2f}×** |", flush=True)


def _drain(store: PostgresStore, tasks: int, batch: int, *, is_held: bool) -> float:
    """Return the seconds in which one worker claims and settles everything."""
    place = store.new_place()
    with ExitStack() as exits:
        broker = exits.enter_context(broker_on(place))
        fill(broker, waiting=tasks)
        if is_held:
            other = exits.enter_context(store.server.connect(place.name, autocommit=False))
            other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # The first look takes the snapshot that the transaction keeps.
            other.execute("SELECT 1 FROM reinhardt_tasks_job LIMIT 1")
        began = time.perf_counter()
        settled = _settle_all(broker, batch)
        took = time.perf_counter() - began
        assert settled == tasks, f"{settled} tasks of {tasks}"
        return took


def _settle_all(broker: DatabaseBroker, batch: int) -> int:
    from reinhardt_tasks.brokers.base import WorkerInfo
    from reinhardt_tasks.jobs import Succeeded

    worker = WorkerInfo(id="benchmark", lease=3600)
    settled, claims = 0, broker.claim(["default"], batch, worker)
    while claims:
        settled += len(claims)
        lost, claims = broker.exchange([Succeeded(claim=claim) for claim in claims], ["default"], batch, worker)
        assert not lost
    return settled


if __name__ == "__main__":
    main()
