"""How much is done: what ended in each step of the last while, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils.translation import gettext as _

from ..brokers.lookups import Tallies, steps
from ..exceptions import OperationRefused
from ..jobs import TaskStatus
from .stores import Store

#: Steps of one answer at most.
MOST_STEPS = 1440


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What ended in a step of time, of one queue or of all."""

    begins_at: datetime
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled

    @property
    def failure_rate(self) -> float | None:
        """The part of what ran to an end that failed, 0 to 1; None where nothing did."""
        ran = self.succeeded + self.failed
        return self.failed / ran if ran else None

    @property
    def failure_percent(self) -> float | None:
        """The same in per cent."""
        return None if self.failure_rate is None else 100 * self.failure_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """The rates of each queue, a step after the other, without gaps."""

    since: datetime
    until: datetime
    step: timedelta
    queues: dict[str, Sequence[Rate]]
    is_estimate: bool

    @property
    def total(self) -> Sequence[Rate]:
        return [_sum(rates) for rates in zip(*self.queues.values(), strict=True)] if self.queues else []

    @property
    def whole(self) -> Rate:
        """What ended in all of the span."""
        return _sum(self.total or [Rate(begins_at=self.since)])


def throughput(
    store: Store,
    *,
    span: timedelta = timedelta(hours=1),
    step: timedelta = timedelta(minutes=1),
    until: datetime | None = None,
) -> Throughput:
    """Return what ended in a span of time up to now (or `until`), a step after the other, by queue.

    It is computed from what is still kept: a RESULT_TTL that is shorter than the span leaves its beginning empty.
    """
    if step <= timedelta(0) or span < step or span / step > MOST_STEPS:
        raise OperationRefused(
            _("A span of {span} in steps of {step}: make that 1 to {MOST_STEPS} steps.").format(
                span=span, step=step, MOST_STEPS=MOST_STEPS
            )
        )
    # Steps that begin at whole ones: the next answer's are the same ones.
    end = _ceiling(until or datetime.now(UTC), step)
    tallies = store.broker.tally(end - step * -(-span // step), end, step)
    return _throughput(tallies)


def _throughput(tallies: Tallies) -> Throughput:
    begins = [begin for begin, _ in steps(tallies.since, tallies.until, tallies.step)]
    found = {(tally.queue, tally.begins_at): tally.counts for tally in tallies.tallies}
    queues = sorted({queue for queue, _ in found})
    return Throughput(
        since=tallies.since,
        until=tallies.until,
        step=tallies.step,
        queues={
            queue: [
                Rate(
                    begins_at=begin,
                    succeeded=found.get((queue, begin), {}).get(TaskStatus.SUCCESS, 0),
                    failed=found.get((queue, begin), {}).get(TaskStatus.FAILURE, 0),
                    cancelled=found.get((queue, begin), {}).get(TaskStatus.CANCELLED, 0),
                )
                for begin in begins
            ]
            for queue in queues
        },
        is_estimate=tallies.is_estimate,
    )


def _sum(rates: Sequence[Rate]) -> Rate:
    return Rate(
        begins_at=rates[0].begins_at,
        succeeded=sum(rate.succeeded for rate in rates),
        failed=sum(rate.failed for rate in rates),
        cancelled=sum(rate.cancelled for rate in rates),
    )


def _ceiling(moment: datetime, step: timedelta) -> datetime:
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    return beginning - (beginning - moment) // step * step
