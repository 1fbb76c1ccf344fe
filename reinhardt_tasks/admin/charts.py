"""What ended in each minute, as the geometry of a drawing: the template writes it as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..operations import Rate
from ..operations.throughput import Throughput

#: Of the drawings, in their own units: what ended, and below it which part of that failed.
WIDTH, HEIGHT, PART_HEIGHT = 600, 96, 32
_GAP = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One step of time: what succeeded below, what failed above it; and the part that failed, of the whole height."""

    rate: Rate
    x: float
    width: float
    succeeded_y: float
    succeeded_height: float
    failed_y: float
    failed_height: float
    part_y: float
    part_height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    bars: Sequence[Bar]
    since: datetime
    until: datetime
    #: The highest bar's number.
    most: int
    #: All of them together.
    whole: Rate
    is_estimate: bool
    width: int = WIDTH
    height: int = HEIGHT
    part_height: int = PART_HEIGHT

    @property
    def worst_percent(self) -> float:
        """Of the step of which the greatest part failed."""
        return max((bar.rate.failure_percent or 0.0 for bar in self.bars), default=0.0)


def chart_of(numbers: Throughput) -> Chart:
    """Return the drawing of all queues together."""
    rates = numbers.total
    most = max((rate.succeeded + rate.failed for rate in rates), default=0)
    width = WIDTH / max(1, len(rates))
    return Chart(
        bars=[_bar(rate, number * width, width - _GAP, most) for number, rate in enumerate(rates)],
        since=numbers.since,
        until=numbers.until,
        most=most,
        whole=numbers.whole,
        is_estimate=numbers.is_estimate,
    )


def _bar(rate: Rate, x: float, width: float, most: int) -> Bar:
    unit = HEIGHT / max(1, most)
    # What failed is to be seen, however little of all it is.
    failed = max(rate.failed * unit, 3 if rate.failed else 0)
    succeeded = min(rate.succeeded * unit, HEIGHT - failed)
    part = max((rate.failure_rate or 0.0) * PART_HEIGHT, 2 if rate.failed else 0)
    return Bar(
        rate=rate,
        x=round(x, 2),
        width=round(width, 2),
        succeeded_y=round(HEIGHT - succeeded, 2),
        succeeded_height=round(succeeded, 2),
        failed_y=round(HEIGHT - succeeded - failed, 2),
        failed_height=round(failed, 2),
        part_y=round(PART_HEIGHT - part, 2),
        part_height=round(part, 2),
    )
