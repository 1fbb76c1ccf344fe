"""Geometry for the SVG that the templates draw: numbers in, percentages of the picture's width out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

STATE_ORDER = ("SUCCESS", "FAILURE", "CANCELLED", "SKIPPED", "READY", "WAITING")


@dataclass(frozen=True, kw_only=True)
class Bar:
    label: str
    value: int
    width: str
    x: str = "0%"
    y: int = 0
    text_y: int = 0

    @property
    def slug(self) -> str:
        return self.label.lower()


@dataclass(frozen=True, kw_only=True)
class BarChart:
    bars: list[Bar]
    height: int


def bar_chart(rows: Iterable[tuple[str, int]], *, row_height: int = 38) -> BarChart:
    """Lay out one bar a row, below its label; the longest takes the whole width."""
    rows = list(rows)
    longest = max((value for _, value in rows), default=0) or 1
    bars = [
        Bar(
            label=label,
            value=value,
            width=_percent(value, longest),
            y=at * row_height + 20,
            text_y=at * row_height + 14,
        )
        for at, (label, value) in enumerate(rows)
    ]
    return BarChart(bars=bars, height=len(rows) * row_height)


def state_strip(states: Counter[str]) -> list[Bar]:
    """Lay the states end to end in one bar, in the order of `STATE_ORDER`; absent ones are left out."""
    total = sum(states.values()) or 1
    bars, before = [], 0
    for state in STATE_ORDER:
        if states[state]:
            bars.append(
                Bar(label=state, value=states[state], x=_percent(before, total), width=_percent(states[state], total))
            )
            before += states[state]
    return bars


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3f}%"
