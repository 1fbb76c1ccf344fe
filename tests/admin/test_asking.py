"""Whatever is asked or entered, by a slip or by malice, there is an answer that is no error of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from reinhardt_tasks.operations import Store
from reinhardt_tasks.schedules import IntervalSchedule
from reinhardt_tasks.scheduling import people
from reinhardt_tasks.workflows import Workflow, step
from tests.operations import chores
from tests.operations.stores import fail, succeed

from .conftest import ALL
from .pages import Page, url

#: What no field expects.
ODD = ["\x00", "%é\ufffd😀'", "9" * 400, "-1", "1e300", '["\\ud800"]', "0001-01-01T00:00", "a" * 5000]

ASKED = {
    "jobrow_tasks": [
        "backend",
        "state",
        "queue",
        "q",
        "period",
        "since",
        "until",
        "finished_since",
        "finished_until",
        "worker",
        "exception",
        "place",
        "text",
        "after",
    ],
    "jobrow_failures": ["backend"],
    "jobrow_check": ["backend"],
    "schedulerow_changelist": ["after"],
    "workflowrow_changelist": ["state", "name", "after"],
}
#: Page → what is sent with the button, and the fields into which something odd is entered.
ENTERED: dict[str, list[tuple[dict[str, str], list[str]]]] = {
    "jobrow_act": [
        (
            {"deed": "change", "backend": "default", "confirmed": "1"},
            ["ids", "to-priority", "to-queue", "to-run_after", "origin"],
        ),
        ({"deed": "retry", "backend": "default", "all": "1", "confirmed": "1"}, ["filters", "after"]),
        ({"deed": "discard", "ids": "x"}, ["backend", "deed"]),
    ],
    "jobrow_queues_act": [({"deed": "clear", "backend": "default", "confirmed": "1"}, ["queue", "after"])],
    "jobrow_care_act": [({"deed": "prune", "backend": "default", "confirmed": "1"}, ["before"])],
    "jobrow_failures_act": [
        ({"deed": "retry", "backend": "default", "confirmed": "1"}, ["name", "exception", "place", "after"])
    ],
}
SCHEDULE = {"name": "odd", "task": chores.add.module_path, "kind": "cron", "expression": "0 * * * *", "args": "[1]"}
SCHEDULE |= {"kwargs": "{}", "catch_up": "latest", "overlap": "allow"}


@pytest.fixture
def owner(someone: Callable[..., Client]) -> Client:
    more = ["view_schedulerow", "add_schedulerow", "change_schedulerow", "view_workflowrow"]
    client = someone(*ALL, *more)
    # An error of the server is an answer like others here, so that all of them are told at once.
    client.raise_request_exception = False
    return client


def test_whatever_is_asked_for_is_answered(store: Store, owner: Client) -> None:
    chores.add.enqueue(1)
    ended = succeed(store)
    flow = Workflow("flow")
    flow.add(step(chores.add, 1))
    pages: dict[str, list[str]] = {url(name): names for name, names in ASKED.items()}
    pages[url("workflowrow_change", flow.start().id)] = ["after", "show"]
    pages[url("jobrow_change", ended)] = ["backend"]
    wrong = {}
    for place, names in pages.items():
        for name in names:
            for odd in ODD:
                response = owner.get(place, {name: odd})
                if response.status_code not in (200, 400, 404):
                    wrong[place, name, odd[:20]] = response.status_code
    for name in ("jobrow_change", "jobrow_edit", "workflowrow_change", "schedulerow_change"):
        for odd in ODD:
            if (code := owner.get(url(name, odd.replace("\n", ""))).status_code) not in (200, 400, 404):
                wrong[name, odd[:20]] = code
    assert wrong == {}


def test_whatever_is_entered_is_answered(store: Store, owner: Client) -> None:
    chores.add.enqueue(1)
    failed = fail(store)
    waiting = chores.add.enqueue(2).id
    posts: list[tuple[str, dict[str, str], list[str]]] = [
        (url(name), sent, fields) for name, forms in ENTERED.items() for sent, fields in forms
    ]
    posts.append((url("jobrow_edit", waiting), {"args": "[1]", "kwargs": "{}"}, ["args", "kwargs"]))
    posts.append((url("jobrow_edit", failed), {"args": "[1]", "kwargs": "{}"}, ["args", "kwargs"]))
    assert wrong_answers(owner, posts) == ""


def test_whatever_is_entered_for_a_schedule_is_answered(postgres_store: Store, owner: Client) -> None:
    row = people.create("often", chores.add.module_path, IntervalSchedule(60), args=[1])
    more = ["tz", "backend", "queue_name", "priority", "start", "end", "jitter"]
    assert (
        wrong_answers(
            owner,
            [
                (url("schedulerow_add"), SCHEDULE, [*SCHEDULE, *more]),
                (url("schedulerow_edit", row.pk), SCHEDULE | {"kind": "interval"}, ["every"]),
                (url("schedulerow_edit", row.pk), SCHEDULE | {"kind": "at"}, ["at"]),
                (url("schedulerow_act", row.pk), {}, ["deed"]),
            ],
        )
        == ""
    )


def wrong_answers(client: Client, posts: list[tuple[str, dict[str, str], list[str]]]) -> str:
    """Send each of these with something odd in one field at a time; return what was answered by an error of the server."""
    wrong: dict[Any, int] = {}
    for place, sent, fields in posts:
        for name in fields:
            for odd in ODD:
                response = client.post(place, {**sent, name: odd})
                if response.status_code not in (200, 302, 400, 403, 404):
                    wrong[place, name, odd[:20]] = response.status_code
    return "\n".join(map(str, wrong.items()))


@pytest.mark.parametrize("name", ["jobrow_act", "jobrow_queues_act", "jobrow_care_act", "jobrow_failures_act"])
def test_whoever_comes_without_a_button_is_told_so(sqlite_store: Store, owner: Client, name: str) -> None:
    response = owner.get(url(name))
    page = Page(response.content.decode())
    assert response.status_code == 405 and response.headers["Allow"] == "POST"
    assert "Nothing was done" in page.text and page.complaints == []
