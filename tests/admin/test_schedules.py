"""The pages about schedules: seen, switched, run, made, edited and deleted by whoever may."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from reinhardt_tasks._compat import BaseTaskBackend
from reinhardt_tasks.admin.schedule_pages import runs_of
from reinhardt_tasks.models import ScheduleRow
from reinhardt_tasks.operations import Query, Store
from reinhardt_tasks.schedules import At, CronSchedule, IntervalSchedule
from reinhardt_tasks.scheduling import Scheduler, people
from reinhardt_tasks.scheduling.databases import schedules_database
from reinhardt_tasks.scheduling.rows import schedule_of_row
from tests.operations import chores

from .pages import read, url

EVIL = "<script>alert('x')</script>"
EVERY = ["view", "add", "change", "delete", "run_now"]


def permissions(*names: str) -> list[str]:
    return [f"{name}_schedulerow" for name in names]


@pytest.fixture
def keeper(someone: Callable[..., Client]) -> Client:
    return someone(*permissions(*EVERY), "view_arguments_jobrow", "view_jobrow")


@pytest.fixture
def nightly(store: Store) -> ScheduleRow:
    schedule = CronSchedule("0 3 * * *", tz="Europe/Berlin")
    return people.create(f"nightly {EVIL}", chores.log_in.module_path, schedule, args=["ada", "geheim-123"])


def entered(**values: Any) -> dict[str, Any]:
    """Return what a person enters into the form."""
    form = {
        "name": "hourly",
        "task": chores.add.module_path,
        "kind": "cron",
        "expression": "0 * * * *",
        "tz": "Asia/Tokyo",
        "args": "[1]",
        "kwargs": "{}",
        "catch_up": "latest",
        "overlap": "skip",
        "enabled": "on",
    }
    return form | values


def again(row: ScheduleRow) -> ScheduleRow:
    return ScheduleRow.objects.using(schedules_database()).get(pk=row.pk)


def test_schedules_are_listed_in_words_with_their_next_runs(nightly: ScheduleRow, keeper: Client) -> None:
    people.create("often", chores.add.module_path, IntervalSchedule(timedelta(minutes=5)), args=[1], enabled=False)
    page = read(keeper.get(url("schedulerow_changelist")))
    assert page.complaints == [] and "geheim" not in page.text
    assert EVIL in page.text and "at 03:00 every day, Europe/Berlin time" in page.text
    assert page.buttons == ["run-now", "off", "run-now", "on"]


def test_a_schedules_page_shows_ten_runs_in_its_zone(nightly: ScheduleRow, keeper: Client) -> None:
    response = keeper.get(url("schedulerow_change", nightly.pk))
    page = read(response)
    assert page.complaints == [] and "geheim" not in page.text and '("ada", "[redacted]")' in page.text
    runs = response.context["runs"]
    assert len(runs) == 10 and {run.at.hour for run in runs} == {3}
    assert page.text.count("03:00:00 CE") == 10 and "Next runs, in Europe/Berlin time" in page.text
    assert "0 3 * * * (Europe/Berlin)" in page.text


def test_a_priority_is_shown_on_both_scales(store: Store, keeper: Client) -> None:
    urgent = people.create(
        "urgent", chores.add.module_path, IntervalSchedule(timedelta(minutes=5)), args=[1], priority=-80
    )
    assert "-80 (1 of 9)" in read(keeper.get(url("schedulerow_change", urgent.pk))).text


def test_a_change_of_the_clock_is_marked() -> None:
    moments = [datetime(2026, 3, day, 1, tzinfo=UTC) for day in (28, 29, 30)]
    runs = runs_of(moments, ZoneInfo("Europe/Berlin"))
    assert [(run.at.hour, run.is_after_change) for run in runs] == [(2, False), (3, True), (3, False)]


def test_a_schedule_is_switched_off_and_on(nightly: ScheduleRow, someone: Callable[..., Client]) -> None:
    client = someone(*permissions("view", "change"))
    place = url("schedulerow_act", nightly.pk)
    read(client.post(place, {"deed": "off"}, follow=True))
    assert not again(nightly).enabled and again(nightly).next_at is None
    read(client.post(place, {"deed": "on"}, follow=True))
    assert again(nightly).enabled and again(nightly).next_at is not None
    words = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert words == ["Switched off.", "Switched on."]


def test_a_schedule_is_run_now(store: Store, nightly: ScheduleRow, someone: Callable[..., Client]) -> None:
    client = someone(*permissions("view", "run_now"))
    text = read(client.post(url("schedulerow_act", nightly.pk), {"deed": "run-now"}, follow=True)).text
    (job,) = store.broker.find(Query())
    assert f"enqueued as task {job.id}." in text and job.name == chores.log_in.module_path
    assert f"by hand PENDING {job.id}" in text.replace("Pending", "PENDING") and "It has not run yet." not in text
    # The task leads back to its schedule, for whoever may see that.
    place = f'href="{url("schedulerow_change", nightly.pk)}"'
    both = someone("view_jobrow", "view_schedulerow").get(url("jobrow_change", job.id)).content.decode()
    assert place in both and place not in someone("view_jobrow").get(url("jobrow_change", job.id)).content.decode()


def test_a_schedule_whose_runs_are_kept_no_more_has_run_all_the_same(nightly: ScheduleRow, keeper: Client) -> None:
    place, words = url("schedulerow_change", nightly.pk), "No run of the last seven days."
    text = read(keeper.get(place)).text
    assert "It has not run yet." in text and words not in text
    past = datetime.now(UTC) - timedelta(days=20)
    ScheduleRow.objects.using(schedules_database()).update(fired=12, last_slot=past)
    text = read(keeper.get(place)).text
    assert words in text and "It has not run yet." not in text


def test_a_run_on_a_backend_with_other_ids_is_shown_without_one(
    nightly: ScheduleRow, keeper: Client, settings: Any
) -> None:
    dummy = f"{BaseTaskBackend.__module__.rpartition('.')[0]}.dummy.DummyBackend"
    settings.TASKS = {**settings.TASKS, "other": {"BACKEND": dummy, "QUEUES": []}}
    ScheduleRow.objects.using(schedules_database()).update(alias="other")
    page = read(keeper.post(url("schedulerow_act", nightly.pk), {"deed": "run-now"}, follow=True))
    (run,) = people.last_slots(nightly, 10)
    assert "by hand Sent" in page.text and str(run.pk) not in page.text


def test_what_is_declared_is_listed_before_a_scheduler_takes_it_over(
    store: Store, keeper: Client, settings: Any
) -> None:
    default = settings.TASKS["default"]
    weekly = {"task": chores.add.module_path, "schedule": "0 4 * * mon", "args": [1]}
    options = {**default["OPTIONS"], "SCHEDULES": {f"weekly {EVIL}": weekly}}
    settings.TASKS = {"default": {**default, "OPTIONS": options}}
    page = read(keeper.get(url("schedulerow_changelist")))
    assert page.complaints == [] and page.buttons == [] and EVIL in page.text
    assert "at 04:00 on Monday" in page.text and "No scheduler has taken it over yet" in page.text
    assert "There are no schedules" not in page.text
    Scheduler().synchronise()
    assert "No scheduler has taken it over yet" not in read(keeper.get(url("schedulerow_changelist"))).text


def test_the_overview_leads_to_a_schedule_that_nobody_fires(
    nightly: ScheduleRow, someone: Callable[..., Client]
) -> None:
    past = datetime.now(UTC) - timedelta(hours=2, minutes=1)
    ScheduleRow.objects.using(schedules_database()).update(next_slot=past, next_at=past)
    words, place = f"1 schedule is due, {nightly.name!r} for 2 hours", "To the schedules"
    page = read(someone("view_jobrow", "view_schedulerow").get(url("jobrow_changelist")))
    # Also where no task was ever enqueued.
    assert page.complaints == [] and words in page.text and place in page.text and "the first steps" in page.text
    assert place not in read(someone("view_jobrow").get(url("jobrow_changelist"))).text


def test_a_schedule_that_an_error_has_switched_off_is_told_until_it_is_switched_off_by_hand(
    nightly: ScheduleRow, keeper: Client, someone: Callable[..., Client]
) -> None:
    error = {"enabled": False, "next_slot": None, "next_at": None, "last_error": "TypeError: no"}
    ScheduleRow.objects.using(schedules_database()).update(failed_at=datetime.now(UTC), **error)
    words = "1 schedule was switched off by an error"
    assert words in read(keeper.get(url("jobrow_changelist"))).text
    unseen = read(someone("view_jobrow").get(url("jobrow_changelist"))).text
    assert "an error has switched off. You may not see which." in unseen and "nightly" not in unseen
    page = read(keeper.get(url("schedulerow_change", nightly.pk)))
    assert "broken" in page.text and page.buttons == ["run-now", "off", "on", "delete"]
    page = read(keeper.post(url("schedulerow_act", nightly.pk), {"deed": "off"}, follow=True))
    assert page.buttons == ["run-now", "on", "delete"] and "TypeError: no" in page.text
    assert words not in read(keeper.get(url("jobrow_changelist"))).text


def test_the_overview_names_no_schedule_to_who_may_not_see_them(
    nightly: ScheduleRow, someone: Callable[..., Client], settings: Any
) -> None:
    default = settings.TASKS["default"]
    weekly = {"task": chores.add.module_path, "schedule": "0 4 * * mon", "args": [1]}
    settings.TASKS = {"default": {**default, "OPTIONS": {**default["OPTIONS"], "SCHEDULES": {"weekly": weekly}}}}
    past = datetime.now(UTC) - timedelta(hours=2, minutes=1)
    ScheduleRow.objects.using(schedules_database()).update(next_slot=past, next_at=past)
    for query in ({}, {"part": "1"}):
        seen = read(someone("view_jobrow", "view_schedulerow").get(url("jobrow_changelist"), query)).text
        assert nightly.name in seen and "'weekly'" in seen
        unseen = read(someone("view_jobrow").get(url("jobrow_changelist"), query)).text
        assert "nightly" not in unseen and "weekly" not in unseen and "runscheduler" in unseen
        assert unseen.count("There are schedules that nobody fires.") == 1


def test_a_schedule_is_deleted_after_a_question(nightly: ScheduleRow, someone: Callable[..., Client]) -> None:
    client = someone(*permissions("view", "delete"))
    place = url("schedulerow_act", nightly.pk)
    assert "Delete schedule" in read(client.post(place, {"deed": "delete"})).text
    assert again(nightly)
    read(client.post(place, {"deed": "delete", "confirmed": "1"}, follow=True))
    assert not ScheduleRow.objects.using(schedules_database()).exists()
    assert client.get(url("schedulerow_change", nightly.pk)).status_code == 404


def test_a_schedule_is_made(store: Store, keeper: Client) -> None:
    place = url("schedulerow_add")
    assert read(keeper.get(place)).complaints == []
    response = keeper.post(place, entered(), follow=True)
    assert "Schedule hourly was made." in read(response).text
    row = ScheduleRow.objects.using(schedules_database()).get()
    assert (row.task, row.overlap, row.args) == (chores.add.module_path, "skip", "[1]") and row.next_at is not None
    assert LogEntry.objects.get().get_admin_url() == url("schedulerow_change", row.pk)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"task": "no.such.task"}, "No task is registered as 'no.such.task'"),
        ({"expression": "61 * * * *"}, "the minute field '61'"),
        ({"expression": "0 0 3 * * *"}, "“With seconds”"),
        ({"expression": ""}, "Say at which times"),
        ({"tz": "Europe/Berlyn"}, "Did you mean 'Europe/Berlin'?"),
        ({"args": "[1, 2, 3]"}, "too many positional arguments"),
        ({"args": "{}"}, "has to be a JSON list"),
        ({"kind": "interval"}, "how many seconds lie between two runs"),
        ({"kind": "at"}, "when it is to run"),
        ({"kind": "interval", "every": "0.5"}, "greater than or equal to 1"),
        ({"kind": "interval", "every": "1e300"}, "The interval cannot be 1e+300 seconds"),
        ({"kind": "at", "at": "0001-01-01T00:00"}, "too early or too late"),
        ({"kind": "at", "at": "2026-01-01T00:00"}, "This is over: it would never run."),
        ({"jitter": "1e300"}, "The jitter cannot be 1e+300 seconds"),
        ({"jitter": "-1"}, "greater than or equal to 0"),
        ({"start": "2027-01-02T00:00", "end": "2027-01-01T00:00"}, "before it starts"),
        ({"queue_name": "nowhere"}, "Queue 'nowhere' is not valid"),
        ({"args": "[NaN]"}, "has to be a JSON list"),
        ({"priority": "1000"}, "less than or equal to 100"),
        ({"name": "x" * 101}, "at most 100 characters"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_in_the_form(
    sqlite_store: Store, keeper: Client, values: dict[str, str], words: str
) -> None:
    page = read(keeper.post(url("schedulerow_add"), entered(**values)))
    assert words in page.text
    assert not ScheduleRow.objects.using(schedules_database()).exists()


def test_all_that_cannot_be_is_told_at_once_each_at_its_field(nightly: ScheduleRow, keeper: Client) -> None:
    wrong = entered(
        name=nightly.name, task="no.such.task", expression="61 * * * *", tz="Europe/Berlyn", kwargs="[]", jitter="-1"
    )
    response = keeper.post(url("schedulerow_add"), wrong)
    page = read(response)
    assert sorted(response.context["form"].errors) == ["expression", "jitter", "kwargs", "name", "task", "tz"]
    assert page.complaints == [] and "Please correct the errors below." in page.text


def test_what_is_not_of_its_kind_is_left_alone(sqlite_store: Store, keeper: Client) -> None:
    values = entered(kind="interval", every="90", expression="61 * * * *", tz="Nowhere", at="never", overlap="queue")
    assert "was made" in read(keeper.post(url("schedulerow_add"), values, follow=True)).text
    row = ScheduleRow.objects.using(schedules_database()).get()
    assert "90000000" in row.schedule and row.overlap == "queue"


def test_seconds_of_a_moment_outlive_an_edit(sqlite_store: Store, keeper: Client) -> None:
    moment = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    row = people.create("once", chores.add.module_path, At(moment), args=[1], start=moment)
    place = url("schedulerow_edit", row.pk)
    form = keeper.get(place).context["form"]
    values = {field.name: field.value() for field in form if field.value() not in (None, False)}
    shown = {name: form[name].as_widget() for name in ("at", "start")}
    assert "2099-01-02T03:04:05" in shown["at"] or "04:05" in shown["at"]
    values["at"] = re.search(r'value="([^"]*)"', shown["at"])[1]  # type: ignore[index]
    values.pop("start")
    keeper.post(place, values, follow=True)
    assert schedule_of_row(again(row)) == At(moment)


def test_a_schedule_is_edited_and_what_is_redacted_stays(nightly: ScheduleRow, keeper: Client) -> None:
    place = url("schedulerow_edit", nightly.pk)
    response = keeper.get(place)
    assert "geheim" not in response.content.decode() and read(response).complaints == []
    values = entered(name="", task=chores.log_in.module_path, args='["bob", "[redacted]"]', kind="interval", every="90")
    keeper.post(place, values)
    row = again(nightly)
    assert row.args == '["bob", "geheim-123"]' and "90000000" in row.schedule and row.name == nightly.name


def test_what_is_redacted_does_not_become_its_placeholder_under_another_task(
    nightly: ScheduleRow, keeper: Client
) -> None:
    place = url("schedulerow_edit", nightly.pk)
    values = entered(name="", task=chores.log_in_by_token.module_path, args='["ada", "[redacted]"]')
    assert "Argument 2 by position is [redacted], which stands" in read(keeper.post(place, values)).text
    # Left empty, it stays what it is; unless the other task would show it.
    shown = read(keeper.post(place, values | {"task": chores.greet.module_path, "args": "", "kwargs": ""}))
    assert f"{chores.greet.module_path} does not redact all that {chores.log_in.module_path} does" in shown.text
    assert (again(nightly).task, again(nightly).args) == (chores.log_in.module_path, '["ada", "geheim-123"]')
    keeper.post(place, values | {"args": "", "kwargs": ""})
    assert (again(nightly).task, again(nightly).args) == (values["task"], '["ada", "geheim-123"]')


def test_arguments_that_cannot_be_shown_are_left_as_they_are(store: Store, keeper: Client) -> None:
    row = people.create("renamed", chores.add.module_path, IntervalSchedule(60), args=[30], kwargs={"b": 2})
    ScheduleRow.objects.using(schedules_database()).update(task="shop.tasks.gone")
    place = url("schedulerow_edit", row.pk)
    response = keeper.get(place)
    form = response.context["form"]
    assert (form["args"].value(), form["kwargs"].value()) == ("", "") and "Empty: as they are stored." in read(
        response
    ).text
    keeper.post(place, entered(name="", args="", kwargs=""))
    assert (again(row).task, again(row).args, again(row).kwargs) == (chores.add.module_path, "[30]", '{"b": 2}')
    keeper.post(place, entered(name="", args="[5]", kwargs=""))
    assert (again(row).args, again(row).kwargs) == ("[5]", '{"b": 2}')
    # They are checked against the new function all the same.
    text = read(keeper.post(place, entered(name="", task=chores.greet.module_path, args="", kwargs=""))).text
    assert "unexpected keyword argument" in text or "got an unexpected" in text
    assert again(row).task == chores.add.module_path


def shown(client: Client, place: str) -> dict[str, str]:
    """Return what a browser would send of a form that nobody has touched."""
    found = {}
    for each in read(client.get(place)).inputs:
        if each.get("type") != "checkbox" or "checked" in each:
            found[each.get("name") or ""] = each.get("value") or ""
    form = client.get(place).context["form"]
    found |= {name: form[name].value() for name in ("args", "kwargs", "kind", "backend", "catch_up", "overlap")}
    return {name: value for name, value in found.items() if name}


def test_what_somebody_else_changed_while_the_form_was_open_stays(nightly: ScheduleRow, keeper: Client) -> None:
    place = url("schedulerow_edit", nightly.pk)
    values = shown(keeper, place)
    people.edit(nightly.name, enabled=False, schedule=CronSchedule("0 5 * * *"), priority=50)
    assert "was changed" in read(keeper.post(place, values | {"queue_name": "emails"}, follow=True)).text
    row = again(nightly)
    assert row.queue == "emails" and row.args == '["ada", "geheim-123"]'
    assert (row.enabled, row.priority, schedule_of_row(row)) == (False, 50, CronSchedule("0 5 * * *"))
    # What was changed in the form itself is as the form has it.
    keeper.post(place, values | {"expression": "0 6 * * *", "priority": "20"})
    row = again(nightly)
    assert (row.enabled, row.priority, row.queue) == (False, 20, "emails")
    assert schedule_of_row(row) == CronSchedule("0 6 * * *", tz="Europe/Berlin")


def test_a_time_that_is_over_is_no_hindrance_to_other_changes(sqlite_store: Store, keeper: Client) -> None:
    row = people.create("once", chores.add.module_path, At(datetime(2020, 1, 2, tzinfo=UTC)), args=[1])
    place = url("schedulerow_edit", row.pk)
    values = shown(keeper, place) | {"priority": "7"}
    assert "was changed" in read(keeper.post(place, values, follow=True)).text
    assert again(row).priority == 7
    page = read(keeper.post(place, values | {"at": "2020-01-03T00:00"}))
    assert "This is over: it would never run." in page.text


def test_a_schedule_is_seen_in_words_with_its_runs_before_it_is_saved(nightly: ScheduleRow, keeper: Client) -> None:
    for place, values in (
        (url("schedulerow_add"), entered()),
        (url("schedulerow_edit", nightly.pk), shown(keeper, url("schedulerow_edit", nightly.pk))),
    ):
        before = list(ScheduleRow.objects.using(schedules_database()).values())
        order = values | {"expression": "30 17 * * mon", "tz": "Asia/Tokyo", "preview": "1"}
        page = read(keeper.post(place, order))
        assert page.complaints == [] and "at 17:30 on Monday, Asia/Tokyo time" in page.text
        assert page.text.count("17:30:00 JST") == 10 and "Nothing is saved yet." in page.text
        assert list(ScheduleRow.objects.using(schedules_database()).values()) == before
        page = read(keeper.post(place, order | {"expression": "61 * * * *"}))
        assert "the minute field '61'" in page.text and "Next runs" not in page.text
    assert not LogEntry.objects.exists()


def test_a_schedule_with_seconds_is_announced_and_keeps_them(store: Store, keeper: Client) -> None:
    read(keeper.post(url("schedulerow_add"), entered(expression="30 0 3 * * *", seconds="on"), follow=True))
    row = ScheduleRow.objects.using(schedules_database()).get()
    form = keeper.get(url("schedulerow_edit", row.pk)).context["form"]
    assert (form["expression"].value(), form["seconds"].value()) == ("30 0 3 * * *", True)
    assert "03:00:30" in read(keeper.get(url("schedulerow_change", row.pk))).text


@pytest.mark.parametrize("lacking", EVERY)
def test_whoever_may_not_does_not(nightly: ScheduleRow, someone: Callable[..., Client], lacking: str) -> None:
    client = someone(*permissions(*[name for name in EVERY if name != lacking]), "view_arguments_jobrow", "view_jobrow")
    before = again(nightly).__dict__ | {"_state": None}
    attempts = {
        "view": [("changelist", None), ("change", None), ("edit", {}), ("act", {"deed": "off"})],
        "add": [("add", None), ("add", entered())],
        "change": [("edit", None), ("edit", entered()), ("act", {"deed": "off"}), ("act", {"deed": "on"})],
        "delete": [("act", {"deed": "delete", "confirmed": "1"})],
        "run_now": [("act", {"deed": "run-now"})],
    }
    for name, posted in attempts[lacking]:
        place = url(f"schedulerow_{name}", *([] if name in ("changelist", "add") else [nightly.pk]))
        response = client.get(place) if posted is None else client.post(place, posted)
        assert response.status_code == 403, (name, posted)
    assert again(nightly).__dict__ | {"_state": None} == before
    assert ScheduleRow.objects.using(schedules_database()).count() == 1 and not LogEntry.objects.exists()


def test_arguments_are_shown_to_those_only_who_may_see_them(
    nightly: ScheduleRow, someone: Callable[..., Client]
) -> None:
    client = someone(*permissions(*EVERY))
    assert "ada" not in read(client.get(url("schedulerow_change", nightly.pk))).text
    for name, args in (("edit", [nightly.pk]), ("add", [])):
        assert client.get(url(f"schedulerow_{name}", *args)).status_code == 403


def test_one_that_code_declares_is_not_edited_here(sqlite_store: Store, keeper: Client, nightly: ScheduleRow) -> None:
    ScheduleRow.objects.using(schedules_database()).update(source="code")
    assert keeper.post(url("schedulerow_edit", nightly.pk), entered()).status_code == 400
    text = read(keeper.post(url("schedulerow_act", nightly.pk), {"deed": "delete", "confirmed": "1"}, follow=True)).text
    assert "is declared in code" in text and again(nightly)
