"""A scheduler whose clock is moved by hand, schedules of the test's own, and a count of the tasks that came of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.brokers.base import Query
from reinhardt_tasks.schedules import Declaration, ScheduleRegistry
from reinhardt_tasks.schedules.slots import scheduled_for
from reinhardt_tasks.scheduling import Scheduler
from reinhardt_tasks.scheduling.scheduler import Turn
from reinhardt_tasks.serialization import decode_call

#: Long past: nothing here depends on the true time.
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TASK = "tests.tasks.note"


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, time: timedelta) -> None:
        self.now += time


class Simulation:
    """Schedules in a registry of their own, and schedulers on one clock."""

    def __init__(self, database: str, now: datetime = NOON) -> None:
        self.database = database
        self.clock = Clock(now)
        self.registry = ScheduleRegistry()
        self.scheduler = self.new_scheduler()

    def new_scheduler(self, **options: Any) -> Scheduler:
        """Return another one, as after a restart."""
        self.scheduler = Scheduler(self.database, clock=self.clock, registry=self.registry, **options)
        return self.scheduler

    def declare(self, schedule: Any, name: str = "one", **options: Any) -> Declaration:
        values = {"task": TASK, "args": ("/dev/null", name), **options}
        declaration = Declaration(name=name, schedule=schedule, **values)
        self.registry.unregister(name)
        self.registry.register(declaration)
        return declaration

    def row(self, name: str = "one") -> Any:
        from reinhardt_tasks.models import ScheduleRow

        return ScheduleRow.objects.using(self.database).get(name=name)

    def turn(self, after: timedelta = timedelta()) -> Turn:
        """Let time pass and the scheduler look once."""
        self.clock.pass_(after)
        return self.scheduler.turn()

    def fired(self, after: timedelta = timedelta()) -> list[datetime]:
        """Let time pass and return the slots that are fired then."""
        return [firing.slot for firing in self.turn(after).fired]

    def walk(self, time: timedelta, step: timedelta) -> list[datetime]:
        """Let time pass in steps, with a turn after each; return the slots that were fired."""
        found: list[datetime] = []
        for _ in range(time // step):
            found += self.fired(step)
        return found


def jobs(alias: str = "default") -> list[Any]:
    """Return every job of a backend."""
    broker: Any = task_backends[alias].broker
    found: list[Any] = []
    while page := broker.find(Query(), found[-1].id if found else None, 500):
        found += page
    return found


def slots_of_jobs(alias: str = "default") -> Counter[tuple[str, datetime]]:
    """Return how many tasks there are for each schedule and slot, as the tasks themselves know them."""
    headers = [decode_call(job.payload).headers for job in jobs(alias)]
    return Counter((each["schedule"], scheduled_for(each)) for each in headers)


def every(step: timedelta, first: datetime, last: datetime) -> list[datetime]:
    return [first + number * step for number in range((last - first) // step + 1)]
