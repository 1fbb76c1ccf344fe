"""The pages that are looked at: all of them, on every store, for whoever may and for nobody else."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.db import connections
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import translation

from reinhardt_tasks.admin import register
from reinhardt_tasks.bare_outcomes import lost_outcome
from reinhardt_tasks.brokers.base import Broker
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import Failed, Job, Progress, Retrying, Succeeded, TaskPriority, TaskStatus, new_id
from reinhardt_tasks.models import JobRow
from reinhardt_tasks.operations import Query, Store
from reinhardt_tasks.options import BackendOptions
from reinhardt_tasks.templatetags.reinhardt_tasks_admin import label
from tests import databases
from tests.commands.telling import data
from tests.operations import chores
from tests.operations.stores import attempt, claim, fail, logged, put_back, put_off, succeed, worker
from tests.settings import sqlite

from .pages import Page, read, url

EVIL = "<script>alert('x')</script>"
#: Pages without an argument.
PLAIN = ["jobrow_changelist", "jobrow_tasks", "jobrow_queues", "jobrow_workers", "jobrow_failures"]


@pytest.fixture
def busy(store: Store) -> dict[str, str]:
    """A store with a task in each state, all fed with what must be escaped: state → id."""
    found = {}
    chores.log_in.enqueue(EVIL, password="geheim-123")
    failing = claim(store, "emails")
    trace = attempt(failing, exception=EVIL, traceback=f'  File "{EVIL}", line 3, in x\n{EVIL}: geheim-123')
    log = logged(failing, EVIL, "with geheim-123", "and geheim…", level="ERROR")
    store.broker.settle([Failed(claim=failing, attempt=trace, log=log)])
    found["failure"] = failing.job.id
    chores.log_in.enqueue(EVIL, password="geheim-123")
    found["success"] = succeed(store, "emails", result=f'"{EVIL}"')
    chores.add.enqueue(7)
    found["retry"] = put_off(store)
    chores.add.enqueue(8)
    running = claim(store, by=worker(EVIL[:20]))
    store.broker.annotate(running, {"<b>": EVIL}, Progress(30, 100, f"at {EVIL}"))
    found["running"] = running.job.id
    found["scheduled"] = chores.add.using(run_after=timedelta(hours=1.5)).enqueue(9).id
    found["pending"] = chores.log_in.enqueue(EVIL, password="geheim-123", remember=True).id
    store.broker.pause("emails")
    return found


@pytest.mark.parametrize("name", PLAIN)
def test_a_page_needs_neither_inline_scripts_nor_styles_and_escapes_all(
    busy: dict[str, str], chief: Client, name: str
) -> None:
    page = read(chief.get(url(name)))
    assert page.complaints == []
    assert "geheim" not in page.text


@pytest.mark.parametrize("state", ["failure", "success", "retry", "running", "scheduled", "pending"])
def test_a_tasks_page_shows_all_of_it_and_escapes_that(busy: dict[str, str], chief: Client, state: str) -> None:
    page = read(chief.get(url("jobrow_change", busy[state])))
    assert page.complaints == []
    assert busy[state] in page.text and "geheim" not in page.text
    shown = {
        "failure": [EVIL, "[redacted]", f"Traceback of {EVIL}", "failed for good", f"ERROR shop.orders {EVIL}"],
        "success": [f'"{EVIL}"', "succeeded"],
        "retry": ["Waiting to be retried", "ValueError: no"],
        "running": ["30 %", f"at {EVIL}", '"<b>"'],
        "scheduled": ["Scheduled", "in 1 h "],
        "pending": ["[redacted]", '"remember": true'],
    }
    for words in shown[state]:
        assert words in page.text


def test_each_attempt_has_its_log_beneath_it(store: Store, chief: Client) -> None:
    id_ = chores.add.enqueue(1).id
    one = claim(store)
    first = logged(one, "counting", "slowly", level="WARNING", dropped=3)
    store.broker.settle([Retrying(claim=one, attempt=attempt(one), log=first)])
    two = claim(store)
    assert "What it logs is shown when it has ended." in read(chief.get(url("jobrow_change", id_))).text
    store.broker.settle([Succeeded(claim=two, log=logged(two, "done"))])
    text = read(chief.get(url("jobrow_change", id_))).text
    later, earlier = text.split("Attempt 2")[1].split("Attempt 1")
    assert "Log: 1 line " in later and "INFO shop.orders done" in later
    assert "Log: 2 lines 3 older lines were dropped." in earlier
    assert "WARNING shop.orders counting" in earlier and "WARNING shop.orders slowly" in earlier


def test_an_attempt_without_lines_says_so(store: Store, chief: Client) -> None:
    id_ = chores.add.enqueue(1).id
    lost = claim(store, by=worker("lost"))
    store.broker.settle([lost_outcome(lost, BackendOptions())])
    succeed(store)
    later, earlier = read(chief.get(url("jobrow_change", id_))).text.split("Attempt 1")
    assert "No lines of its log are kept." in later and "What it had logged went with its worker." in earlier


def test_a_success_that_was_cancelled_is_seen_by_its_lines(store: Store, chief: Client) -> None:
    id_ = chores.add.enqueue(1).id
    one = claim(store)
    store.broker.cancel([id_])
    store.broker.settle([Succeeded(claim=one, log=logged(one, "done all the same"))])
    text = read(chief.get(url("jobrow_change", id_))).text
    assert "Attempt 1 cancelled" in text and "INFO shop.orders done all the same" in text


def test_half_a_letter_is_spelled_out_on_each_page(store: Store, chief: Client) -> None:
    """What `os.listdir` has of a name that is no UTF-8; an answer cannot be encoded with it."""
    id_ = chores.add.using(metadata={"file": "\ud800"}).enqueue("\ud800", b="caf\udce9").id
    one = claim(store)
    store.broker.settle([Succeeded(claim=one, result='"\\udce9"')])
    assert r"\ud800" in read(chief.get(url("jobrow_tasks"))).text
    text = read(chief.get(url("jobrow_change", id_))).text
    assert all(each in text for each in (r'"\ud800"', r'"caf\udce9"', r'"\udce9"'))


def test_the_overview_tells_each_queues_numbers_and_what_to_look_at(busy: dict[str, str], chief: Client) -> None:
    text = read(chief.get(url("jobrow_changelist"))).text
    assert "Queue 'emails' is paused, and has tasks." in text
    assert "1 succeeded" in text and "1 failed (50.0 %)" in text
    assert "default 0 – 1 1 1 0" in text and "emails paused 1" in text


def test_the_overview_tells_the_memory_of_all_workers_together(store: Store, chief: Client) -> None:
    def told() -> str:
        return read(chief.get(url("jobrow_changelist"))).text

    chores.add.enqueue(1)
    assert "memory" not in told()
    for name in ("cellar", "attic"):
        store.broker.heartbeat(replace(worker(name), memory=100 * 2**20))
    assert "2 living workers 0 of 8 slots busy memory 200.0 MB" in told()
    store.broker.heartbeat(worker("older"))
    assert "3 living workers 0 of 12 slots busy memory unknown" in told()


def test_the_part_that_refreshes_itself_comes_without_the_frame(busy: dict[str, str], chief: Client) -> None:
    for name in ("jobrow_changelist", "jobrow_workers"):
        page = read(chief.get(url(name), {"part": ""}))
        assert "html" not in page.tags and "section" in page.tags
    part = read(chief.get(url("jobrow_change", busy["running"]), {"part": ""}))
    assert "html" not in part.tags and "30 %" in part.text


def test_the_list_is_filtered(store: Store, busy: dict[str, str], chief: Client) -> None:
    def listed(**asked: str) -> set[str]:
        text = read(chief.get(url("jobrow_tasks"), asked)).text
        return {state for state, id_ in busy.items() if id_ in text}

    assert listed() == set(busy)
    assert listed(state="failure") == {"failure"}
    assert listed(queue="emails") == {"failure", "success", "pending"}
    assert listed(q="operations.chores.add") == {"retry", "running", "scheduled"}
    assert listed(q=busy["retry"]) == {"retry"} == listed(q=busy["retry"][:30])
    assert listed(q="no.such.task") == set()
    assert listed(period="1h") == set(busy)
    assert listed(until="2001-01-01T00:00") == set() == listed(since="2101-01-01T00:00")
    assert listed(text="SCRIPT") == {"failure", "success", "pending"}
    assert listed(exception="ValueError") == {"retry"}
    assert listed(worker="nobody") == set() == listed(finished_until="2001-01-01T00:00")
    assert {"failure", "success"} <= listed(finished_since="2001-01-01T00:00") < set(busy)
    (job,) = store.broker.get([busy["running"]]).values()
    assert listed(worker=str(job.worker)) == {"running"}


def test_the_list_shows_priorities_on_both_scales(store: Store, chief: Client) -> None:
    chores.add.using(priority=TaskPriority(9)).enqueue(1)
    assert "100 (9 of 9)" in read(chief.get(url("jobrow_tasks"))).text


def test_a_name_that_several_tasks_have_is_asked_about(busy: dict[str, str], chief: Client) -> None:
    page = read(chief.get(url("jobrow_tasks"), {"q": "chores."}))
    assert "Which one?" in page.text and "tests.operations.chores.whisper" in page.text


def test_a_name_that_no_code_has_means_its_own_tasks_and_no_others(store: Store, chief: Client) -> None:
    gone, other = "tests.operations.chores.whi", chores.whisper.enqueue("x").id
    store.broker.enqueue([Job(id=new_id(), name=gone, payload="[[], {}]", backend="default")])
    (old,) = (job.id for job in store.broker.find(Query(name=gone)))
    response = chief.get(url("jobrow_tasks"), {"q": gone})
    page = read(response)
    # It is a part of another's name: which is meant, is asked.
    assert "Which one?" in page.text and f"{gone} unknown here" in page.text and other not in page.text
    links = {name: link for name, link, _ in response.context["candidates"]}
    assert set(links) == {gone, chores.whisper.module_path}
    for name, id_, its in ((gone, old, other), (chores.whisper.module_path, other, old)):
        text = read(chief.get(url("jobrow_tasks") + links[name])).text
        assert id_ in text and its not in text


def test_a_failure_of_a_task_that_no_code_has_leads_to_its_tasks(store: Store, chief: Client) -> None:
    gone = "tests.operations.chores.whi"
    store.broker.enqueue([Job(id=new_id(), name=gone, payload="[[], {}]", backend="default")])
    id_ = fail(store, traceback='  File "a.py", line 9, in y\nValueError: no')
    (link,) = re.findall(r'href="([^"]*&amp;place=[^"]*)"', chief.get(url("jobrow_failures")).content.decode())
    assert id_ in read(chief.get(html.unescape(link))).text


def test_filters_that_are_none_are_told_of(store: Store, chief: Client) -> None:
    page = read(chief.get(url("jobrow_tasks"), {"since": "yesterday"}))
    assert "Enter a valid date/time." in page.text and "newest first" not in page.text


def test_pages_of_the_list_follow_on_each_other(store: Store, chief: Client) -> None:
    ids = [result.id for result in (chores.add.enqueue(number) for number in range(120))]
    seen: list[str] = []
    asked = {"state": "pending"}
    for _ in range(3):
        response = chief.get(url("jobrow_tasks"), asked)
        seen += [task.id for task in response.context["listing"].tasks]
        asked = {"state": "pending", "after": response.context["listing"].after}
    assert seen == ids[::-1] and asked["after"] is None


def test_a_bound_that_was_reached_is_told_of(store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reinhardt_tasks.brokers.lookups.SCANNED", 10)
    monkeypatch.setattr("reinhardt_tasks.brokers.lookups.PAGE", 10)
    for number in range(30):
        chores.add.enqueue(number)
    page = read(chief.get(url("jobrow_tasks"), {"text": "nowhere"}))
    assert "more to look through than one page load may" in page.text and "Nothing was found so far." in page.text


def test_workers_are_shown_with_what_they_run(store: Store, chief: Client) -> None:
    running = chores.add.enqueue(1)
    one = claim(store, by=worker("cellar"))
    store.broker.heartbeat(replace(worker("attic"), memory=123 * 2**20))
    page = read(chief.get(url("jobrow_workers")))
    assert "cellar" in page.text and "alive" in page.text
    assert "1 of 4 unknown add" in page.text and "0 of 4 123.0 MB –" in page.text
    assert one.job.id == running.id and f"{running.id}/change" in chief.get(url("jobrow_workers")).content.decode()


def test_failures_are_grouped(store: Store, chief: Client) -> None:
    for number in range(5):
        chores.add.enqueue(number)
        fail(
            store, exception="a.Odd" if number % 2 else "a.Even", traceback='  File "x.py", line 9, in y\nEven: broken'
        )
    page = read(chief.get(url("jobrow_failures")))
    assert "3 Even broken x.py:9 in y" in page.text and "2 Odd" in page.text


def test_the_list_can_be_narrowed_to_each_state_by_the_name_that_it_has_elsewhere(store: Store, chief: Client) -> None:
    response = chief.get(url("jobrow_tasks"))
    tabs = [str(tab.label) for tab in response.context["state_tabs"]]
    assert sorted(tabs) == sorted(["All", *(str(label(status)) for status in TaskStatus)]) and "Pending" in tabs
    for status in TaskStatus:
        chosen = chief.get(url("jobrow_tasks"), {"state": status.value.lower()}).context["state_tabs"]
        assert [str(tab.label) for tab in chosen if tab.is_current] == [str(label(status))]


def test_what_was_raised_stands_before_everything_else(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    deep = "".join(f'  File "x.py", line {number}, in y\n    y()\n' for number in range(100))
    id_ = fail(
        store,
        exception="builtins.LookupError",
        traceback=f"Traceback (most recent call last):\n{deep}LookupError: nobody at home",
    )
    text = read(chief.get(url("jobrow_change", id_))).text
    assert text.index("LookupError: nobody at home") < text.index("Facts")
    attempts = text[text.index("Attempt 1") :]
    assert attempts.index("LookupError: nobody at home") < attempts.index("Traceback (most recent")
    assert "LookupError: nobody at home" in read(chief.get(url("jobrow_tasks"))).text


def test_what_is_to_be_looked_at_leads_there_and_is_mended_at_once(
    store: Store, busy: dict[str, str], chief: Client
) -> None:
    page = chief.get(url("jobrow_changelist")).content.decode()
    place = f"{url('jobrow_queues')}#rt-queue-default-emails"
    assert f'href="{place}"' in page and 'id="rt-queue-default-emails"' in chief.get(place).content.decode()
    assert "resume" in read(chief.get(url("jobrow_changelist"))).buttons
    chief.post(url("jobrow_queues_act"), {"deed": "resume", "backend": "default", "queue": "emails"})
    assert "is paused" not in chief.get(url("jobrow_changelist")).content.decode()


def test_tasks_that_nobody_runs_lead_to_the_workers_and_old_ones_to_their_list(
    sqlite_store: Store, chief: Client
) -> None:
    chores.add.enqueue(1)
    JobRow.objects.using(connections["sqlite"].alias).update(due_at=datetime(2026, 1, 1, tzinfo=UTC))
    page = chief.get(url("jobrow_changelist")).content.decode()
    assert f'href="{url("jobrow_workers")}">To the workers' in page
    assert f'href="{url("jobrow_tasks")}?backend=default&amp;state=pending&amp;queue=default">To these tasks' in page


def test_a_newcomer_is_told_the_first_steps_until_there_is_a_task(store: Store, chief: Client) -> None:
    text = read(chief.get(url("jobrow_changelist"))).text
    assert "manage.py runworker" in text and "All is well" not in text
    store.broker.heartbeat(worker())
    text = read(chief.get(url("jobrow_changelist"), {"part": ""})).text
    assert "A worker runs." in text and "manage.py runworker" not in text
    chores.add.enqueue(1)
    succeed(store)
    assert "the first steps" not in read(chief.get(url("jobrow_changelist"))).text


# Who sees what


@pytest.mark.parametrize("name", PLAIN)
def test_nobody_sees_a_page_without_the_permission(store: Store, someone: Callable[..., Client], name: str) -> None:
    assert someone("retry_jobrow", "view_arguments_jobrow").get(url(name)).status_code == 403
    assert Client().get(url(name)).status_code == 302


def test_a_task_is_not_shown_without_the_permission(busy: dict[str, str], someone: Callable[..., Client]) -> None:
    client = someone("retry_jobrow", "view_arguments_jobrow", "edit_jobrow")
    assert client.get(url("jobrow_change", busy["failure"])).status_code == 403
    assert client.get(url("jobrow_edit", busy["failure"])).status_code == 403
    assert "jobrow" not in client.get("/admin/").content.decode()


def test_whoever_may_only_look_gets_no_button_and_no_arguments(store: Store, someone: Callable[..., Client]) -> None:
    chores.add.enqueue(20_261_126)
    one = claim(store)
    store.broker.annotate(one, {"order": "20261126"}, None)
    trace = '  File "x.py", line 9, in y\nValueError: 20261126'
    store.broker.settle([Failed(claim=one, attempt=attempt(one, traceback=trace), log=logged(one, "at 20261126"))])
    chores.add.enqueue(20_261_126)
    other = claim(store)
    store.broker.settle([Succeeded(claim=other, result="20261126")])
    client = someone("view_jobrow")
    places = [url(name) for name in PLAIN]
    for id_ in (one.job.id, other.job.id):
        places += [url("jobrow_change", id_), url("jobrow_change", id_) + "?part"]
    for place in places:
        page = read(client.get(place))
        assert page.buttons == [] and page.complaints == [], place
        assert "20261126" not in page.text, place
    assert "Traceback of builtins.ValueError" in read(client.get(url("jobrow_change", one.job.id))).text


def test_a_search_over_arguments_tells_nothing_to_whoever_may_not_see_them(
    store: Store, someone: Callable[..., Client]
) -> None:
    chores.add.enqueue(20_261_126)
    client = someone("view_jobrow")
    for text in ("20261126", "nothing"):
        assert client.get(url("jobrow_tasks"), {"text": text}).status_code == 403


# The frame


def test_a_task_that_is_gone_is_a_404(store: Store, chief: Client) -> None:
    assert chief.get(url("jobrow_change", new_id())).status_code == 404
    assert chief.get(url("jobrow_change", "no-id")).status_code == 404


def test_a_store_that_is_away_is_told_of_and_harms_no_page(site: None, chief: Client, settings: Any) -> None:
    settings.TASKS = {
        "away": {
            "BACKEND": "reinhardt_tasks.backends.RedisBackend",
            "OPTIONS": {"URL": "redis://127.0.0.1:1/0", "PREFIX": "x:"},
        }
    }
    assert "is away" in read(chief.get(url("jobrow_changelist"))).text
    assert chief.get(url("jobrow_tasks")).status_code == 503
    assert read(chief.get(url("jobrow_workers"))).complaints == []
    assert read(chief.get(url("jobrow_failures"))).complaints == []
    assert chief.get(url("jobrow_change", new_id())).status_code == 503


@pytest.mark.parametrize("kind", ["postgresql", "mysql", "redis"])
def test_a_store_that_is_away_is_named_and_all_else_shown(
    sqlite_store: Store, chief: Client, settings: Any, kind: str
) -> None:
    chores.add.enqueue(1)
    here = fail(sqlite_store)
    server = {"ENGINE": f"django.db.backends.{kind}", "NAME": "x", "HOST": "127.0.0.1", "PORT": "1", "USER": "x"}
    database = {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "OPTIONS": {"DATABASE": "far"}}
    redis = {
        "BACKEND": "reinhardt_tasks.backends.RedisBackend",
        "OPTIONS": {"URL": "redis://127.0.0.1:1/0", "PREFIX": "x:"},
    }
    settings.TASKS = {**settings.TASKS, "lonely": redis if kind == "redis" else database}
    places = {name: url(name) for name in PLAIN} | {"task": url("jobrow_change", here)}
    with databases.known("far", server) if kind != "redis" else nullcontext():
        for name, place in places.items():
            page = read(chief.get(place))
            assert page.complaints == []
            assert name in ("jobrow_tasks", "task") or "lonely" in page.text and "refused" in page.text, name
            assert "emails" in page.text or "ValueError" in page.text or "host:17" in page.text, name
        for place in (f"{url('jobrow_tasks')}?backend=lonely", url("jobrow_change", new_id())):
            response = chief.get(place)
            text = Page(response.content.decode()).text
            assert response.status_code == 503 and "The store of" in text and "lonely" in text, place
            assert url("jobrow_changelist") in response.content.decode()
        with pytest.raises(QueueError):
            chores.add.using(backend="lonely").enqueue(1)


def test_a_project_whose_backends_keep_nothing_is_told_so(site: None, chief: Client, settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DummyBackend"}}
    for name in ("jobrow_changelist", "jobrow_tasks", "jobrow_queues"):
        assert "keeps tasks" in read(chief.get(url(name))).text


@pytest.mark.parametrize("name", PLAIN)
def test_the_pages_speak_japanese(busy: dict[str, str], chief: Client, name: str, settings: Any) -> None:
    with translation.override("ja"):
        page = read(chief.get(url(name)))
    assert "バックグラウンドタスク" in page.text and page.complaints == []


other_site = AdminSite(name="backstage")
register(other_site)
urlpatterns = [path("backstage/", other_site.urls), path("admin/", include("tests.urls"))]


@override_settings(ROOT_URLCONF=__name__)
def test_a_site_of_ones_own_has_the_pages_and_stays_within_itself(busy: dict[str, str], chief: Client) -> None:
    for end in ("", "tasks/", "queues/", "workers/", "failures/", f"{busy['failure']}/change/"):
        response = chief.get(f"/backstage/reinhardt_tasks/jobrow/{end}")
        assert read(response).complaints == []
        assert "/admin/reinhardt_tasks" not in response.content.decode()


# Cost


def test_statements_are_few_whatever_there_is(sqlite_store: Store, site: None, chief: Client) -> None:
    chores.add.enqueue_many([((number,), {}) for number in range(50)])
    few = _statements(chief)
    for start in range(0, 10_000, 1000):
        chores.add.enqueue_many([((start + number,), {}) for number in range(1000)])
    many = _statements(chief)
    assert many == few and max(many.values()) <= 25, (few, many)


def _statements(client: Client) -> dict[str, int]:
    found = {}
    for name in PLAIN:
        client.get(url(name))
        with CaptureQueriesContext(connections["sqlite"]) as captured:
            read(client.get(url(name)))
        found[name] = len(captured)
    return found


def test_a_database_without_tables_is_told_of_on_every_page(
    site: None, someone: Callable[..., Client], settings: Any, tmp_path: Path
) -> None:
    client = someone("view_jobrow", "view_schedulerow", "view_workflowrow")
    backend = "reinhardt_tasks.backends.DatabaseBackend"
    settings.TASKS = {"default": {"BACKEND": backend, "OPTIONS": {"DATABASE": "bare"}}}
    places = [url("jobrow_tasks"), url("schedulerow_changelist"), url("schedulerow_change", 1)]
    places += [url("workflowrow_changelist"), url("workflowrow_change", new_id())]
    with databases.known("bare", sqlite(tmp_path / "bare.sqlite3")):
        for place in places:
            response = client.get(place)
            assert (response.status_code, "no such table" in response.content.decode()) == (503, True), place


def test_a_task_that_a_worker_gave_back_says_so(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    back = put_back(store)
    wanted = chores.add.using(run_after=timedelta(hours=1)).enqueue(2).id
    page = read(chief.get(url("jobrow_change", back)))
    assert page.complaints == [] and "put back" in page.text and "restart the worker" in page.text
    assert "put back" not in read(chief.get(url("jobrow_change", wanted))).text
    assert read(chief.get(url("jobrow_tasks"))).text.count("put back") == 1


def test_numbers_that_were_counted_no_further_say_so(
    store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broker, "COUNT_LIMIT", 2)
    for number in range(3):
        chores.add.enqueue(number)
    chores.log_in.enqueue("a", "b-secret")
    text = read(chief.get(url("jobrow_changelist"))).text
    assert "3+ pending" in text and "default 2+ " in text and "emails 1 " in text
    assert "default 2+ " in read(chief.get(url("jobrow_queues"))).text
    order = {"backend": "default", "queue": "default", "deed": "clear"}
    assert "Pending 2+ " in read(chief.post(url("jobrow_queues_act"), order)).text
    at_least = {each["queue"]: each["at_least"] for each in data("status")["backends"][0]["queues"]}
    assert (at_least["default"], at_least["emails"]) == (["ready"], [])


def test_which_part_failed_is_drawn_minute_by_minute_where_any_did(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    succeed(store)
    content = chief.get(url("jobrow_changelist")).content.decode()
    assert "rt-share" not in content and "Failed, in per cent of each minute" not in content
    for number in range(3):
        chores.add.enqueue(number)
    for _ in range(3):
        fail(store)
    page = chief.get(url("jobrow_changelist"))
    (shown,) = page.context["stores"]
    bars = [bar for bar in shown.chart.bars if bar.rate.failed]
    # All in one minute, or on both sides of its end.
    assert all(bar.part_height == round(bar.rate.failure_rate * 32, 2) for bar in bars)
    assert all(bar.part_y + bar.part_height == 32 for bar in bars)
    assert page.content.decode().count("rt-share") == 1 and read(page).complaints == []
    assert "Failed, in per cent of each minute" in read(page).text
