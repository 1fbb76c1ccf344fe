"""Searches and statistics in Redis, each bounded: through the lines where jobs lie, else through the newest of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ...jobs import Job, TaskStatus
from ...timestamps import to_micros
from .. import lookups
from ..lookups import Failures, Page, Query, Tallies, chosen, steps, tallied
from . import faults

if TYPE_CHECKING:
    from .broker import RedisBroker

#: Jobs that one script looks at: it holds up everybody else for as long as it runs, about a microsecond a job.
LOOKED_AT_ONCE = 1000

_LINES = {
    TaskStatus.PENDING: ("ready",),
    TaskStatus.SCHEDULED: ("later",),
    TaskStatus.RETRY: ("retry",),
    TaskStatus.RUNNING: ("held",),
}


def page(broker: RedisBroker, query: Query, after: str | None, limit: int) -> Page:
    ids = _gathered(broker, query)
    if ids is None:
        return _walked(broker, query, after, limit)
    return chosen(ids, lambda some: broker.get(some).values(), query, after, limit)


def tally(broker: RedisBroker, since: datetime, until: datetime, step: timedelta) -> Tallies:
    spans = steps(since, until, step)
    numbers = _asked(broker, [("zcount", *_span(broker, *span)) for span in spans])
    is_estimate = sum(numbers) > lookups.TALLIED
    found: list[tuple[datetime, str, TaskStatus, int]] = []
    for span, number in zip(spans, numbers, strict=True):
        counts = _sampled(broker, span, number) if is_estimate else _ended(broker, span, number)
        found += [(span[0], queue, status, count) for (queue, status), count in counts.items()]
    return tallied(found, since, until, step, is_estimate=is_estimate)


def failures(broker: RedisBroker, limit: int) -> Failures:
    is_cut, *counts = broker.ask("failed", [limit])
    return Failures(counts=dict(zip(counts[::2], map(int, counts[1::2]), strict=True)), is_cut=bool(is_cut))


def _gathered(broker: RedisBroker, query: Query) -> list[str] | None:
    """Return ids among which are all that can match; None where they are too many, or nothing is there to gather them by."""
    assert query.ids is not None
    if query.ids[0] == query.ids[1]:
        return [query.ids[0]]
    if query.is_of_living:
        kinds = dict.fromkeys(kind for status in query.statuses or () for kind in _LINES[status])
        is_all, *ids = broker.ask("living", [lookups.GATHERED, query.queue or "", *kinds])
        return ids if is_all else None
    if query.is_of_a_time:
        begin, end = query.finished_since, query.finished_until
        key = f"{broker.base}ended"
        low = "-inf" if begin is None else to_micros(begin)
        high = "+inf" if end is None else f"({to_micros(end)}"
        (ids,) = _asked(broker, [("zrangebyscore", key, low, high, 0, lookups.GATHERED)])
        return ids if len(ids) < lookups.GATHERED else None
    return None


def _walked(broker: RedisBroker, query: Query, after: str | None, limit: int) -> Page:
    assert query.walk is not None
    low, high = query.walk
    index = "failures" if query.is_of_failures else "all"
    found: list[Job] = []
    looked = 0
    last = f"[{high}" if after is None or after > high else f"({after}"
    while True:
        wanted = [index, last, f"[{low}", LOOKED_AT_ONCE, limit - len(found), *_conditions(query)]
        end, is_more, some = broker.ask("find", wanted)
        found += broker.jobs_of(some)
        looked += LOOKED_AT_ONCE
        if not is_more:
            return Page(jobs=found)
        if len(found) >= limit:
            return Page(jobs=found, after=end)
        if looked >= lookups.WALKED:
            return Page(jobs=found, after=end, is_cut=True)
        last = f"({end}"


def _conditions(query: Query) -> list[Any]:
    states = "" if query.statuses is None else "".join(f",{status.value}" for status in query.statuses) + ","
    moments = (query.enqueued_since, query.enqueued_until, query.finished_since, query.finished_until)
    words = [states, query.queue or "", query.name or "", query.worker or ""]
    return words + ["" if moment is None else str(to_micros(moment)) for moment in moments]


def _ended(broker: RedisBroker, span: tuple[datetime, datetime], number: int) -> Counter[tuple[str, TaskStatus]]:
    """Return how many jobs of each queue ended in a span of time, and how."""
    counts: Counter[tuple[str, TaskStatus]] = Counter()
    for first in range(0, number, LOOKED_AT_ONCE):
        counts += _counted(broker, span, first, LOOKED_AT_ONCE, 0)
    return counts


def _sampled(broker: RedisBroker, span: tuple[datetime, datetime], number: int) -> Counter[tuple[str, TaskStatus]]:
    """Return the same as the first and the last jobs of the span let guess; what has expired is guessed from the others."""
    if not number:
        return Counter()
    half = max(1, (lookups.SAMPLED + 1) // 2)
    counts = _counted(broker, span, 0, half, half)
    factor = number / counts.total() if counts else 0.0
    return Counter({key: round(count * factor) for key, count in counts.items()})


def _counted(
    broker: RedisBroker, span: tuple[datetime, datetime], first: int, number: int, last: int
) -> Counter[tuple[str, TaskStatus]]:
    _key, low, high = _span(broker, *span)
    found = iter(broker.ask("ended", [low, high, first, number, last]))
    return Counter(
        {
            (queue, TaskStatus(status)): int(count)
            for status, queue, count in zip(found, found, found, strict=True)
            if status in TaskStatus.__members__
        }
    )


def _span(broker: RedisBroker, since: datetime, until: datetime) -> tuple[str, int, str]:
    return f"{broker.base}ended", to_micros(since), f"({to_micros(until)}"


def _asked(broker: RedisBroker, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Send plain commands together; they hold up nobody, as one script that does all of it would."""
    given = list(commands)

    def ask() -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(given), LOOKED_AT_ONCE):
            with broker.connections.sender.pipeline(transaction=False) as pipeline:
                for name, *args in given[start : start + LOOKED_AT_ONCE]:
                    getattr(pipeline, name)(*args)
                answers += pipeline.execute()
        return answers

    return faults.guarded(broker, ask)
