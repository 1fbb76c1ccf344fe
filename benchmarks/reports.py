"""The numbers as Markdown: absolute, then as ratios, each with its spread over the rounds."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

from .measures import MEASURES, Measure, Plan, Round
from .systems import OURS, System

Rounds = dict[System, list[Round]]


def store_report(description: str, rounds: Rounds) -> str:
    """Return the two tables of one store."""
    _fill_in_delays(rounds)
    head = f"### {description}\n"
    # Without ourselves there is nothing to divide.
    ratios = [_ratios(rounds), ""] if OURS in rounds and len(rounds) > 1 else []
    return "\n".join([head, _absolute(rounds), "", *ratios])


def preface(plan: Plan, number: int) -> str:
    """Return what was measured, and on what."""
    return f"""# Benchmarks

{number} rounds; in each, one system after the other is measured on an empty store of its own, and every round begins with
another one. Cells are median (smallest – largest) over the rounds. {machine()}

- **Enqueue one by one**: {plan.one_by_one:,} calls of `enqueue()` in autocommit.
- **Enqueue in bulk**: {plan.bulk:,} tasks in one call, where the system has such a call.
- **Drain**: no-op tasks ended per second by one worker process, {plan.drained:,} waiting at its start, results kept; from the
  first one's end on, for {plan.drain_limit:g} s at most.
- **Idle to start**: from the call of `enqueue()` to the task's first line, for single tasks after pauses of chance of up to
  {plan.pause:g} s; {plan.delays} a round, p99 over all rounds together.
- **Idle, statements**: what the store is asked per second by a worker with nothing to do, over {plan.idle:g} s. On SQLite
  without `PRAGMA data_version`, which takes no lock.
- **Idle, CPU**: processor time of that worker and its helpers; 5 ms/s are 0.5 % of a core.
- **Ratio** is ours / theirs within each round: above 1 is better for rates, below 1 for delays and idle costs.
"""


def machine() -> str:
    """Return one sentence on the machine."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"Machine: {os.cpu_count()} × {model}, {platform.system()} {platform.release()}."


def _fill_in_delays(rounds: Rounds) -> None:
    for each in rounds.values():
        together = sorted(delay for one in each for delay in one.delays)
        for one in each:
            if one.delays:
                one.numbers["p50"] = median(one.delays) * 1000
                # A round alone has too few for a hundredth.
                one.numbers["p99"] = quantiles(together, n=100)[98] * 1000 if len(together) > 1 else together[0] * 1000


def _absolute(rounds: Rounds) -> str:
    def cell(measure: Measure, system: System) -> str:
        return _spread([one.numbers[measure.key] for one in rounds[system] if measure.key in one.numbers])

    return _table("measure", list(rounds), cell)


def _ratios(rounds: Rounds) -> str:
    ours = rounds[OURS]

    def cell(measure: Measure, system: System) -> str:
        pairs = [
            (mine.numbers[measure.key], theirs.numbers[measure.key])
            for mine, theirs in zip(ours, rounds[system], strict=False)
            if measure.key in mine.numbers and measure.key in theirs.numbers
        ]
        return _spread([mine / theirs for mine, theirs in pairs if theirs], suffix="×")

    return _table("ours / theirs", [system for system in rounds if system != OURS], cell)


def _table(head: str, systems: Sequence[System], cell: Callable[[Measure, System], str]) -> str:
    lines = [
        "| " + " | ".join([head, *(each.name for each in systems)]) + " |",
        "|" + "---|" + "--:|" * len(systems),
    ]
    for measure in MEASURES:
        lines.append("| " + " | ".join([measure.title, *(cell(measure, each) for each in systems)]) + " |")
    return "\n".join(lines)


def _spread(values: list[float], suffix: str = "") -> str:
    if not values:
        return "–"
    middle = f"**{_number(median(values))}{suffix}**"
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))} – {_number(max(values))})"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
