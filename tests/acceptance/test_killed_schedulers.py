"""Three real schedulers are killed and started again, at random, while slots come due: each slot is one task.

The short form is for every day. REINHARDT_TESTS_SLOW=1 adds two thousand slots on each database.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.models import ScheduleRow, SlotRow
from reinhardt_tasks.schedules import IntervalSchedule
from reinhardt_tasks.scheduling import create
from tests import databases
from tests.backends.redis_doors import Door, door  # noqa: F401
from tests.scheduling.simulated import TASK, every, slots_of_jobs
from tests.servers import PostgresServer, ServerMissing, wait_until
from tests.worker.processes import SchedulerProcess, tasks_on

SLOW = pytest.mark.skipif(os.environ.get("REINHARDT_TESTS_SLOW") != "1", reason="slow: set REINHARDT_TESTS_SLOW=1")
SECOND = timedelta(seconds=1)
SCHEDULES, SCHEDULERS = 20, 3
#: Seconds of slots; twenty schedules make twenty times as many.
SHORT, LONG = 6, pytest.param(100, marks=[pytest.mark.slow, SLOW])
DONE_WITHIN = 240.0


@pytest.fixture
def setting(database_alias: str, settings: Any) -> Iterator[str]:
    settings.TASKS = tasks_on(database_alias)
    broker = task_backends["default"].broker
    yield database_alias
    broker.close()


def make_schedules(database: str, seconds: int) -> dict[tuple[str, datetime], int]:
    """Make schedules that are due every second for some seconds; return what is to come of them."""
    first = datetime.now(UTC).replace(microsecond=0) + 4 * SECOND
    last = first + (seconds - 1) * SECOND
    names = [f"s{number}" for number in range(SCHEDULES)]
    for name in names:
        create(
            name,
            TASK,
            IntervalSchedule(1),
            args=("/dev/null", name),
            start=first,
            end=last,
            catch_up="all",
            database=database,
        )
    return {(name, slot): 1 for name in names for slot in every(SECOND, first, last)}


def fire_and_kill(
    database: str, tasks: Any, seconds: int, rng: random.Random
) -> tuple[dict[tuple[str, datetime], int], int]:
    """Let schedulers fire, and kill one now and then, until all slots are past; return what was to come, and how many died."""
    running = [SchedulerProcess(tasks=tasks) for _ in range(SCHEDULERS)]
    killed = 0
    try:
        for each in running:
            each.ready()
        expected = make_schedules(database, seconds)
        until = max(slot for _, slot in expected)
        while datetime.now(UTC) < until or killed < SCHEDULERS:
            time.sleep(rng.uniform(0.05, 0.8))
            victim = rng.randrange(SCHEDULERS)
            # As a rule one that fires; now and then one that is starting.
            if "Ready." in running[victim].stdout or rng.random() < 0.1:
                running[victim].close()
                killed += 1
                running[victim] = SchedulerProcess(tasks=tasks)
    finally:
        for each in running:
            each.close()
    return expected, killed


def all_fired_and_sent(database: str) -> bool:
    rows = ScheduleRow.objects.using(database).filter(next_at__isnull=False)
    return not rows.exists() and not SlotRow.objects.using(database).exclude(state=SlotRow.SENT).exists()


@pytest.mark.parametrize("seconds", [SHORT, LONG])
def test_each_slot_is_one_task_whoever_is_killed(
    setting: str, settings: Any, seconds: int, rng: random.Random, record_property: Any
) -> None:
    expected, killed = fire_and_kill(setting, settings.TASKS, seconds, rng)
    with SchedulerProcess(tasks=settings.TASKS) as survivor:
        survivor.ready()
        wait_until(lambda: all_fired_and_sent(setting), "all is fired", timeout=DONE_WITHIN, interval=0.1)
        survivor.terminate()
        assert survivor.ended() == 0, survivor.stderr
    print(f"{len(expected)} slots on {setting}, {killed} schedulers killed")
    record_property("killed", killed)
    assert slots_of_jobs() == expected


@pytest.fixture
def own_postgres(django_db_blocker: Any) -> Iterator[PostgresServer]:
    """A server that may be killed, with tables, as the database `mortal`."""
    try:
        server = PostgresServer(own=True)
    except ServerMissing as missing:
        pytest.skip(str(missing))
    with server:
        server.create_database("mortal")
        with databases.added("mortal", server.settings_of("mortal"), django_db_blocker), django_db_blocker.unblock():
            yield server


def test_a_scheduler_outlives_its_database(own_postgres: PostgresServer, settings: Any) -> None:
    settings.TASKS = tasks_on("mortal")
    broker: Any = task_backends["default"].broker
    create("often", TASK, IntervalSchedule(1), args=("/dev/null", "x"), catch_up="all", database="mortal")
    with SchedulerProcess(tasks=settings.TASKS) as scheduler:
        wait_until(lambda: scheduler.stdout.count("often  ") > 3, "it fires", timeout=DONE_WITHIN)
        broker.close()
        own_postgres.kill()
        scheduler.says("The scheduler could not do its work")
        own_postgres.start()
        connections["mortal"].close()
        scheduler.says("The scheduler works again")
        before = scheduler.stdout.count("often  ")
        wait_until(lambda: scheduler.stdout.count("often  ") > before + 2, "it fires again", timeout=DONE_WITHIN)
        scheduler.terminate()
        assert scheduler.ended() == 0, scheduler.stderr
    counted = slots_of_jobs()
    moments = sorted(slot for _, slot in counted)
    assert moments == every(SECOND, moments[0], moments[-1]) and set(counted.values()) == {1}
    broker.close()


@pytest.mark.parametrize("seconds", [SHORT, LONG])
def test_so_it_is_where_tasks_lie_in_redis(
    sqlite_database: str,
    django_db_blocker: Any,
    door: Door,  # noqa: F811
    settings: Any,
    seconds: int,
    rng: random.Random,
) -> None:
    database = sqlite_database
    door(DATABASE=database)
    with django_db_blocker.unblock():
        databases.emptied(database)
        expected, killed = fire_and_kill(database, settings.TASKS, seconds, rng)
        with SchedulerProcess(tasks=settings.TASKS):
            wait_until(lambda: all_fired_and_sent(database), "all is fired", timeout=DONE_WITHIN, interval=0.1)
        print(f"{len(expected)} slots, {killed} schedulers killed")
        assert slots_of_jobs() == expected
