"""Schedules while a test moves time: they fire slot after slot, as if a scheduler had run all the while."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min

from ..models import ScheduleRow
from ..scheduling import Scheduler
from .clock import Clock

#: Times at which something is fired, on one journey.
STOPS = 10_000


def travel_by_schedules(clock: Clock, until: datetime) -> None:
    """Move the clock to a moment, and stop whenever a schedule is due on the way. Needs the database of the schedules."""
    scheduler = Scheduler(clock=clock.now)
    _turn(scheduler)
    rows = ScheduleRow.objects.using(scheduler.session.alias)
    for _ in range(STOPS):
        next_at: datetime | None = rows.aggregate(at=Min("next_at"))["at"]
        if next_at is None or next_at > until:
            break
        if next_at > clock.now():
            clock.move(next_at)
        scheduler.was_there()
        _turn(scheduler)
    else:
        raise AssertionError(f"travel() has stopped {STOPS} times for schedules, and is at {clock.now()}: go less far.")
    if until > clock.now():
        clock.move(until)


def _turn(scheduler: Scheduler) -> None:
    # It would be left alone for a while, which does not pass here.
    if errors := scheduler.turn().errors:
        told = "; ".join(f"{name}: {reason}" for name, reason in errors.items())
        raise AssertionError(f"travel() has come to schedules that cannot be fired: {told}")
