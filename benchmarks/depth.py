"""What a claim costs with a thousand rows and with millions: `python -m benchmarks.depth --store postgresql`.

The ratio of the two should be about 1, and the plan should take rows from an index in their order: a sort of the waiting or a
walk over history would make a backlog the slower the deeper it is.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from .inside import broker_on, fill
from .stores import STORES, Store
from .systems import DATABASES

if TYPE_CHECKING:
    from reinhardt_tasks.brokers.database import DatabaseBroker

CLAIMS = 300
_EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN ", "mysql": "EXPLAIN "}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.depth", description=__doc__)
    parser.add_argument("--store", nargs="+", choices=DATABASES, default=["sqlite", "postgresql"])
    parser.add_argument("--few", type=int, default=1000, help="Waiting rows of the small queue (default: %(default)s).")
    parser.add_argument("--many", type=int, default=1_000_000, help="Rows of each state (default: %(default)s).")
    options = parser.parse_args()
    print("| store | claim of 1, ms, few | many | ratio | claim of 100, ms, few | many | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    plans = []
    for name in options.store:
        with STORES[name]() as store:
            row, plan = _compare(store, options.few, options.many)
            print(row, flush=True)
            plans.append(f"\n{store.description}:\n\n```\n{plan}\n```")
    print("\n".join(plans))


def _compare(store: Store, few: int, many: int) -> tuple[str, str]:
    with broker_on(store.new_place()) as broker:
        fill(broker, waiting=few)
        small = _costs(broker, few)
    with broker_on(store.new_place()) as broker:
        fill(broker, waiting=many, scheduled=many, finished=many)
        large = _costs(broker, many)
        plan = _plan(broker)
    cells = [
        f"{less * 1000:.2f} | {more * 1000:.2f} | **{more / less:.2f}×**"
        for less, more in zip(small, large, strict=True)
    ]
    return f"| {store.name} | {' | '.join(cells)} |", plan


def _costs(broker: DatabaseBroker, waiting: int) -> tuple[float, float]:
    """Return the median seconds of a claim of one job, and of a hundred."""
    ones = min(CLAIMS, waiting // 2)
    _claims(broker, 1, 10)
    return median(_claims(broker, 1, ones)), median(_claims(broker, 100, max(1, min(30, (waiting - ones) // 100 - 1))))


def _claims(broker: DatabaseBroker, limit: int, number: int) -> list[float]:
    from reinhardt_tasks.brokers.base import WorkerInfo

    worker = WorkerInfo(id="benchmark", lease=3600)
    seconds = []
    for _ in range(number):
        began = time.perf_counter()
        claims = broker.claim(["default"], limit, worker)
        seconds.append(time.perf_counter() - began)
        assert len(claims) == limit, f"{len(claims)} claims instead of {limit}"
    return seconds


def _plan(broker: DatabaseBroker) -> str:
    """Return the database's plan for the very statements that a claim sends and that read jobs."""
    sent: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append((sql, params))
        return execute(sql, params, many, context)

    connection = broker.session.connection
    # It is looked for what is due at most every few milliseconds; here it must be.
    time.sleep(0.1)
    with connection.execute_wrapper(note):
        _claims(broker, 1, 1)
    # What makes due jobs ready goes before a claim, and walks an index of its own.
    claim = [(sql, params) for sql, params in sent if "FROM reinhardt_tasks_job" in sql]
    with connection.cursor() as cursor:
        lines = []
        for sql, params in claim:
            cursor.execute(_EXPLAIN[connection.vendor] + sql, params)
            lines += [" ".join(str(value) for value in row) for row in cursor.fetchall()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
