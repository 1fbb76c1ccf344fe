"""Measure this package and its peers in one run, and write a Markdown table of numbers and ratios."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from .environments import find_python, python_of, versions_of
from .measures import Plan, measure
from .remote import DriverFailed
from .reports import Rounds, preface, store_report
from .stores import STORES
from .systems import PEERS, System, chosen

QUICK = Plan(one_by_one=200, bulk=1000, drained=2000, drain_limit=5, delays=10, idle=5)


def main() -> None:
    options = _options()
    plan, number = (QUICK, options.rounds or 1) if options.quick else (Plan(), options.rounds or 3)
    parts, systems = [preface(plan, number)], set()
    for store in options.store:
        measured = chosen(options.peers, store)
        systems |= set(measured)
        parts.append(_run(store, measured, plan, number))
        _write(options.output, [*parts, _versions(systems)])


def _run(store_name: str, systems: list[System], plan: Plan, number: int) -> str:
    for system in systems:
        python_of(system)
    rounds: Rounds = {system: [] for system in systems}
    notes: list[str] = []
    with STORES[store_name]() as store:
        for turn in range(number):
            # In turns, so that a disturbance of the machine meets all of them; each first once.
            for system in systems[turn % len(systems) :] + systems[: turn % len(systems)]:
                print(f"{store_name}, round {turn + 1} of {number}: {system.name}", file=sys.stderr, flush=True)
                try:
                    rounds[system].append(measure(system, store.new_place(), plan))
                except DriverFailed as exc:
                    print(exc, file=sys.stderr, flush=True)
                    notes.append(f"{system.name} failed in round {turn + 1}: {str(exc).splitlines()[0]}")
                else:
                    print(f"  {rounds[system][-1].numbers}", file=sys.stderr, flush=True)
        done = {system: each for system, each in rounds.items() if each}
        return "\n".join([store_report(store.description, done), *notes])


def _versions(systems: set[System]) -> str:
    lines = [f"- {each.name}: {versions_of(each)}" for each in sorted(systems, key=lambda each: each.name)]
    return "\n".join([f"### Versions ({date.today()}, {find_python().resolve().name})\n", *lines])


def _write(output: Path | None, parts: list[str]) -> None:
    text = "\n".join(parts) + "\n"
    if output is None:
        print(text)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--store", nargs="+", choices=list(STORES), default=["sqlite", "postgresql", "redis"])
    add(
        "--peers",
        type=lambda text: text.split(","),
        help=f"Names with commas between (default: all of {', '.join(each.name for each in PEERS)}).",
    )
    add("--rounds", type=int, help="Rounds (default: 3; with --quick 1).")
    add("--quick", action="store_true", help="Small numbers, to see that all works.")
    add("--output", type=Path, metavar="FILE.md", help="Write there instead of printing.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
