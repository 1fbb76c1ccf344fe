"""Measure the worker, and print Markdown tables."""

from __future__ import annotations

import argparse

from benchmarks.reports import machine
from benchmarks.stores import STORES

from .memory import memory
from .parts import PARTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker", description=__doc__)
    parser.add_argument("--part", nargs="+", choices=[*PARTS, "memory"], default=[*PARTS, "memory"])
    parser.add_argument("--store", nargs="+", choices=list(STORES), default=["sqlite"], help="Not for memory.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"# The worker\n\n{machine()}")
    for name in options.part:
        if name == "memory":
            print("\n".join(["\n## Memory of an idle worker, and its start\n", *memory(options.rounds)]), flush=True)
            continue
        part, heading = PARTS[name]
        for store_name in options.store:
            with STORES[store_name]() as store:
                print(f"\n## {heading}, {store.description}\n", flush=True)
                print("\n".join(part(store, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
