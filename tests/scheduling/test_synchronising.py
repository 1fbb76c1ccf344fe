"""Code and settings become rows; rows become schedules; people have their say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import translation

from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.exceptions import InvalidSchedule
from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.schedules import CronSchedule, IntervalSchedule, declared, scheduled
from reinhardt_tasks.schedules.declarations import declared_in_settings
from reinhardt_tasks.scheduling import Scheduler, create, delete, edit, list_schedules, run_now, switch
from reinhardt_tasks.scheduling.databases import schedules_database
from reinhardt_tasks.tasks import task
from tests import databases
from tests.worker.processes import tasks_on

from .simulated import DAY, HOUR, MINUTE, NOON, TASK, Simulation, every, jobs, slots_of_jobs


@pytest.fixture
def simulation(sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[Simulation]:
    """Where no database differs from another one is enough."""
    with django_db_blocker.unblock():
        databases.emptied(sqlite_database)
        settings.TASKS = tasks_on(sqlite_database)
        broker = task_backends["default"].broker
        yield Simulation(sqlite_database)
        broker.close()


@task
def close_the_shop(day: str = "", till: int = 0) -> None:
    """Something to be scheduled."""


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    before = list(declared)
    yield
    declared.clear()
    for declaration in before:
        declared.register(declaration)


# Declaring


def test_a_task_may_have_several_schedules_each_with_a_name(simulation: Simulation) -> None:
    decorated = scheduled("0 3 * * *")(close_the_shop)
    assert decorated is close_the_shop
    scheduled(IntervalSchedule(90), name="often", kwargs={"till": 2}, catch_up="all")(close_the_shop)
    path = close_the_shop.module_path
    assert declared.get(path).schedule == CronSchedule("0 3 * * *")
    assert declared.get("often").kwargs == {"till": 2}
    with pytest.raises(InvalidSchedule, match=f"Two schedules are called '{path}'.*name="):
        scheduled("0 4 * * *")(close_the_shop)
    scheduled("0 3 * * *")(close_the_shop)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": "61 * * * *"}, "the minute field '61'"),
        ({"args": (1, 2, 3)}, "cannot be called with these arguments: too many positional arguments"),
        ({"kwargs": {"tll": 1}}, "got an unexpected keyword argument 'tll'"),
        ({"args": (datetime(2026, 1, 1),)}, "Pass its isoformat()"),
        ({"args": "abc"}, "args is a list or tuple"),
        ({"kwargs": []}, "kwargs is a dictionary"),
        ({"catch_up": "lastest"}, "catch_up is one of 'skip', 'latest', 'all', not 'lastest' (did you mean 'latest'?)"),
        ({"overlap": "alow"}, "did you mean 'allow'?"),
        ({"jitter": -1}, "jitter must be 0 seconds or more"),
        ({"start": datetime(2026, 1, 1)}, "start needs a time zone"),
        ({"start": NOON, "end": NOON - DAY}, "before it starts"),
        ({"priority": 101}, "priority is a whole number from -100 to 100"),
        ({"enabled": 1}, "enabled is True or False"),
        ({"name": "x" * 101}, "1 to 100 letters"),
        ({"queue_name": 5}, "queue_name is a text"),
        ({"queue_name": "a\x00"}, "queue_name is a text"),
        ({"name": "night \ud83c"}, "A schedule's name is a text"),
    ],
)
def test_what_cannot_be_raises_where_it_is_declared(
    simulation: Simulation, options: dict[str, Any], words: str
) -> None:
    values = {"schedule": "0 3 * * *", "name": "one", **options}
    with pytest.raises(InvalidSchedule) as caught:
        scheduled(**values)(close_the_shop)
    assert words in str(caught.value)
    assert declared.get("one") is None


def test_unknown_options_and_wrong_places_are_told(simulation: Simulation) -> None:
    with pytest.raises(TypeError, match="has no option 'catchup'. Did you mean 'catch_up'"):
        scheduled("0 3 * * *", catchup="all")
    with pytest.raises(TypeError, match="@scheduled stands above @task, and .* is no task"):
        scheduled("0 3 * * *")(lambda: None)


def test_settings_declare_too(simulation: Simulation) -> None:
    found, problems = declared_in_settings(
        "fast",
        {
            "nightly": {"task": TASK, "schedule": "0 3 * * *", "args": ["a", "b"], "overlap": "skip"},
            "often": {"task": TASK, "schedule": timedelta(minutes=5)},
            "bad": {"task": TASK, "schedule": "0 3 * *"},
            "half": {"task": TASK},
            "odd": {"task": TASK, "schedule": "0 3 * * *", "overlaps": "skip"},
            "none": 5,
        },
    )
    assert [(each.name, each.backend, each.source, each.overlap) for each in found] == [
        ("nightly", "fast", "settings", "skip"),
        ("often", "fast", "settings", "allow"),
    ]
    assert len(problems) == 4
    assert problems[0].startswith("TASKS['fast']['OPTIONS']['SCHEDULES']['bad']: Schedule 'bad': Cron expression")
    assert "lacks 'schedule'" in problems[1]
    assert "Did you mean 'overlap'?" in problems[2]


def test_a_schedule_of_the_settings_runs(anywhere: Simulation, settings: Any) -> None:
    schedules = {"nightly": {"task": TASK, "schedule": "30 * * * *", "args": ["/dev/null", "x"]}}
    settings.TASKS = tasks_on(anywhere.database, SCHEDULES=schedules)
    anywhere.fired()
    assert anywhere.walk(2 * HOUR, 10 * MINUTE) == every(HOUR, NOON + 30 * MINUTE, NOON + 2 * HOUR)
    assert anywhere.row("nightly").source == "settings"


def test_the_originals_words_work(simulation: Simulation) -> None:
    scheduler = Scheduler(simulation.database, clock=simulation.clock, registry=simulation.registry)
    scheduler.add_task(close_the_shop, CronSchedule("* * * * *", "UTC"), args=("monday",))
    scheduler.run_once()
    simulation.clock.pass_(MINUTE)
    assert [each.job.name for each in scheduler.run_once().fired] == [close_the_shop.module_path]
    scheduler.shutdown()
    scheduler.run()


def test_schedules_lie_where_the_default_tasks_do(simulation: Simulation, settings: Any) -> None:
    assert schedules_database() == "sqlite"
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}
    assert schedules_database() == "default"
    settings.TASKS = {}


class Odd:
    """A schedule of the project's own."""

    def __init__(self, gives: Any = None) -> None:
        self.gives = gives or (lambda moment: moment + HOUR)

    def next_after(self, moment: datetime) -> datetime | None:
        found: datetime | None = self.gives(moment)
        return found

    def __str__(self) -> str:
        return "when it likes"


def test_a_schedule_of_the_projects_own_runs_from_code(simulation: Simulation) -> None:
    simulation.declare(Odd())
    declared.register(simulation.registry.get("one"))
    simulation.fired()
    assert simulation.walk(3 * HOUR, 10 * MINUTE) == every(HOUR, NOON + HOUR, NOON + 3 * HOUR)
    assert next(list_schedules(database=simulation.database)).words == "when it likes"


@pytest.mark.parametrize("bad", [lambda moment: moment, lambda moment: 1 / 0, lambda moment: datetime(2030, 1, 1)])
def test_one_with_a_fault_is_switched_off_and_the_others_are_taken_over(simulation: Simulation, bad: Any) -> None:
    simulation.declare(Odd(bad))
    simulation.declare("* * * * *", "two")
    simulation.fired()
    assert [each.schedule for each in simulation.turn(MINUTE).fired] == ["two"]
    assert not simulation.row().enabled and simulation.row().last_error


# Changes in code


def test_what_is_no_longer_declared_is_retired_and_comes_back_without_what_passed(anywhere: Simulation) -> None:
    anywhere.declare("* * * * *", catch_up="all")
    anywhere.fired()
    assert anywhere.fired(MINUTE) == [NOON + MINUTE]
    declaration = anywhere.registry.get("one")
    anywhere.registry.unregister("one")
    anywhere.new_scheduler()
    assert anywhere.fired(HOUR) == []
    assert anywhere.row().retired_at == NOON + HOUR + MINUTE
    anywhere.registry.register(declaration)
    anywhere.new_scheduler()
    assert anywhere.fired(HOUR) == []
    assert anywhere.fired(MINUTE) == [NOON + 2 * HOUR + 2 * MINUTE]
    assert anywhere.row().retired_at is None


def test_an_unchanged_declaration_leaves_the_row_alone(simulation: Simulation) -> None:
    simulation.declare("0 * * * *")
    simulation.fired()
    before = ScheduleRow.objects.using("sqlite").values().get()
    simulation.clock.pass_(30 * MINUTE)
    simulation.new_scheduler().synchronise()
    assert ScheduleRow.objects.using("sqlite").values().get() == before


def test_other_times_count_from_the_change_on_and_what_was_due_is_not_lost(simulation: Simulation) -> None:
    simulation.declare("0 13 * * *", catch_up="all")
    simulation.fired()
    # While no scheduler ran, 13:00 passed; then other times were deployed, of which 12:30 and 13:30 lie in the past.
    simulation.declare("30 12,13,15 * * *", catch_up="all")
    simulation.new_scheduler()
    assert simulation.fired(2 * HOUR) == [NOON + HOUR]
    assert simulation.walk(2 * HOUR, 10 * MINUTE) == [NOON + 3 * HOUR + 30 * MINUTE]


def test_the_switch_is_peoples_until_code_changes_it(simulation: Simulation) -> None:
    simulation.declare("0 * * * *")
    simulation.fired()
    switch("one", False, database="sqlite")
    simulation.declare("*/30 * * * *")
    simulation.new_scheduler()
    assert simulation.walk(2 * HOUR, 10 * MINUTE) == []
    assert simulation.row().schedule.count("*/30") == 1, "the definition is the code's"
    simulation.declare("*/30 * * * *", enabled=False)
    simulation.new_scheduler().synchronise()
    simulation.declare("*/30 * * * *", enabled=True)
    simulation.new_scheduler()
    simulation.fired()
    assert simulation.walk(HOUR, 10 * MINUTE) == every(30 * MINUTE, NOON + 150 * MINUTE, NOON + 180 * MINUTE)


def test_a_start_gives_what_code_declares_another_chance(simulation: Simulation) -> None:
    simulation.declare("* * * * *", task="tests.tasks.no_such_task")
    simulation.fired()
    simulation.fired(5 * MINUTE)
    assert not simulation.row().enabled
    simulation.declare("* * * * *")
    simulation.new_scheduler()
    simulation.fired()
    assert simulation.row().enabled and simulation.row().last_error is None
    assert simulation.fired(MINUTE) == [NOON + 6 * MINUTE]


def test_a_row_of_peoples_becomes_the_codes(simulation: Simulation) -> None:
    create("one", TASK, "0 * * * *", args=("/dev/null", "x"), database="sqlite")
    simulation.declare("30 * * * *")
    simulation.fired()
    assert (simulation.row().source, ScheduleRow.objects.using("sqlite").count()) == ("code", 1)


# People


def test_people_make_edit_and_delete_schedules(anywhere: Simulation) -> None:
    """By the database's own clock."""
    database = anywhere.database
    row = create("mine", TASK, "0 3 * * *", args=("/dev/null", "x"), database=database)
    assert row.source == "people" and row.next_slot is not None and row.enabled
    with pytest.raises(InvalidSchedule, match="There is a schedule 'mine' already"):
        create("mine", TASK, "0 3 * * *", args=("/dev/null", "x"), database=database)
    row = edit("mine", schedule=IntervalSchedule(60), overlap="skip", database=database)
    assert row.overlap == "skip" and row.schedule.startswith('{"anchor"')
    assert row.next_slot - row.since_at <= MINUTE
    row = edit("mine", enabled=False, database=database)
    assert row.next_at is None
    delete("mine", database=database)
    with pytest.raises(InvalidSchedule, match="There is no schedule 'mine'"):
        switch("mine", True, database=database)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "0 3 * *"}, "has 4 fields"),
        (
            {"task": "tests.tasks.nite"},
            "no task is registered as 'tests.tasks.nite' (did you mean 'tests.tasks.note'?)",
        ),
        ({"args": [1]}, "missing a required argument"),
        ({"backend": "nowhere"}, "nowhere"),
        ({"overlap": "x"}, "overlap is one of"),
    ],
)
def test_what_people_write_is_checked(simulation: Simulation, changes: dict[str, Any], words: str) -> None:
    create("mine", TASK, "0 3 * * *", args=("/dev/null", "x"), database="sqlite")
    with pytest.raises(InvalidSchedule) as caught:
        edit("mine", database="sqlite", **changes)
    assert words in str(caught.value)
    values = {"task": TASK, "schedule": "0 3 * * *", "args": ("/dev/null", "x"), **changes}
    with pytest.raises(InvalidSchedule):
        create("other", values.pop("task"), values.pop("schedule"), database="sqlite", **values)
    assert ScheduleRow.objects.using("sqlite").count() == 1
    with pytest.raises(TypeError, match="has no option 'catchup'"):
        edit("mine", catchup="all", database="sqlite")


def test_a_row_that_cannot_be_read_can_be_mended(simulation: Simulation) -> None:
    create("mine", TASK, "0 3 * * *", args=("/dev/null", "x"), database="sqlite")
    ScheduleRow.objects.using("sqlite").update(schedule="{", args="[", enabled=False, failed_at=NOON, last_error="x")
    (view,) = list_schedules(database="sqlite")
    assert (view.state, view.is_well, view.next) == ("broken", False, ())
    row = edit("mine", schedule="0 4 * * *", args=["/dev/null", "y"], enabled=True, database="sqlite")
    assert row.enabled and row.last_error is None and row.next_slot is not None


def test_what_code_declares_is_changed_there(simulation: Simulation) -> None:
    simulation.declare("0 3 * * *")
    simulation.fired()
    with pytest.raises(InvalidSchedule, match="is declared in code: change it there"):
        edit("one", schedule="0 4 * * *", database="sqlite")
    with pytest.raises(InvalidSchedule, match="is declared in code: remove it there"):
        delete("one", database="sqlite")
    assert not edit("one", enabled=False, database="sqlite").enabled
    simulation.registry.clear()
    simulation.new_scheduler().synchronise()
    with pytest.raises(InvalidSchedule, match="is not declared any more"):
        switch("one", True, database="sqlite")
    delete("one", database="sqlite")


def test_switched_off_it_is_not_fired_and_what_passed_is_not_missed(simulation: Simulation) -> None:
    simulation.declare("* * * * *", catch_up="all")
    simulation.fired()
    simulation.fired(MINUTE)
    # The functions for people ask the database's clock; here all is as long ago as the test likes.
    switch("one", False, database="sqlite")
    assert simulation.walk(5 * MINUTE, MINUTE) == []
    switch("one", True, database="sqlite")
    assert simulation.row().since_at > NOON
    assert simulation.fired() == []


def test_run_now_is_beside_the_slots(simulation: Simulation) -> None:
    simulation.declare("0 3 * * *", queue_name="slow")
    simulation.fired()
    before = simulation.row().next_slot
    id_ = run_now("one", database="sqlite")
    (job,) = jobs()
    assert (job.id, job.queue) == (id_, "slow")
    assert simulation.row().next_slot == before
    run_now("one", database="sqlite")
    assert len(jobs()) == 2 and len(slots_of_jobs()) == 2


def test_the_list_tells_what_is_next_and_what_is_late(simulation: Simulation) -> None:
    simulation.clock.now = simulation.scheduler.session.run(lambda cursor: _now(cursor)) - 3 * HOUR
    simulation.declare(IntervalSchedule(3600), "late")
    simulation.declare("0 0 1 1 *", "rare")
    simulation.declare(IntervalSchedule(3600), "off", enabled=False)
    simulation.fired()
    late, off, rare = list_schedules(3, database="sqlite")
    assert (late.row.name, late.late, late.is_well, len(late.next)) == ("late", 3, False, 3)
    assert late.next[1] - late.next[0] == HOUR and late.next[0] > simulation.clock.now + 3 * HOUR
    assert (off.state, off.next, off.is_well) == ("off", (), True)
    assert (rare.state, rare.late) == ("on", 0) and [each.day for each in rare.next] == [1, 1, 1]
    assert [view.row.name for view in list_schedules(1, after="late", limit=1, database="sqlite")] == ["off"]


def _now(cursor: Any) -> datetime:
    from reinhardt_tasks.brokers.database.sqlite import Sqlite
    from reinhardt_tasks.timestamps import from_micros

    cursor.execute(f"SELECT {Sqlite.now}")
    return from_micros(cursor.fetchone()[0])


class Release:
    """Code of one version, with schedules of its own."""

    def __init__(self, simulation: Simulation, settings: Any, version: int | None, **schedules: str) -> None:
        self.simulation, self.settings, self.version, self.schedules = simulation, settings, version, schedules

    def starts(self) -> None:
        tasks = tasks_on(self.simulation.database, SCHEDULES_VERSION=self.version)
        self.settings.TASKS = tasks
        self.simulation.registry.clear()
        for name, schedule in self.schedules.items():
            self.simulation.declare(schedule, name)
        self.simulation.new_scheduler().synchronise()


def expressions(simulation: Simulation) -> dict[str, str]:
    return {view.row.name: view.words for view in list_schedules(1, database=simulation.database) if view.state == "on"}


def test_an_older_release_that_starts_again_takes_nothing_back(
    simulation: Simulation, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    old = Release(simulation, settings, 7, kept="0 1 * * *", changed="0 2 * * *", removed="0 3 * * *")
    new = Release(simulation, settings, 8, kept="0 1 * * *", changed="0 5 * * *", added="0 6 * * *")
    old.starts()
    new.starts()
    after = expressions(simulation)
    assert set(after) == {"kept", "changed", "added"} and "05:00" in after["changed"]
    assert simulation.row("kept").version == 8
    caplog.set_level("INFO", "reinhardt_tasks")
    old.starts()
    assert expressions(simulation) == after
    assert "Schedule removed is left to version 8, which is newer than 7." in caplog.text
    new.starts()
    assert expressions(simulation) == after
    back = Release(simulation, settings, 9, **old.schedules)
    back.starts()
    assert set(expressions(simulation)) == {"kept", "changed", "removed"}


def test_the_log_tells_in_english_words_what_is_new(simulation: Simulation, caplog: pytest.LogCaptureFixture) -> None:
    simulation.declare(CronSchedule("0 3 * * *", tz="UTC"), "nightly")
    caplog.set_level("INFO", "reinhardt_tasks")
    with translation.override("ja"):
        simulation.new_scheduler().synchronise()
    assert "Schedule nightly is new: at 03:00 every day, UTC time." in caplog.text


@pytest.mark.parametrize(("first", "second"), [(None, None), (8, None), (None, 7), (8, 8)])
def test_without_two_numbers_that_differ_the_last_start_decides(
    simulation: Simulation, settings: Any, first: int | None, second: int | None
) -> None:
    Release(simulation, settings, first, one="0 1 * * *", other="0 2 * * *").starts()
    Release(simulation, settings, second, one="0 5 * * *").starts()
    after = expressions(simulation)
    assert set(after) == {"one"} and "05:00" in after["one"]
    assert simulation.row().version == second


def test_a_row_of_peoples_is_of_no_release(simulation: Simulation, settings: Any) -> None:
    create("mine", TASK, "0 4 * * *", args=("/dev/null", "mine"), database=simulation.database)
    Release(simulation, settings, 8).starts()
    Release(simulation, settings, 7, mine="0 5 * * *").starts()
    assert "05:00" in expressions(simulation)["mine"]


def test_two_schedulers_that_start_together_make_one_row(simulation: Simulation) -> None:
    simulation.declare("* * * * *")
    one, two = simulation.new_scheduler(), simulation.new_scheduler()
    one.synchronise()
    two.synchronise()
    assert ScheduleRow.objects.using("sqlite").count() == 1
