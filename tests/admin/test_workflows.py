"""The pages about workflows: how far they are, their drawing, and what is done to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks.admin import workflow_pages
from reinhardt_tasks.admin.drawings import MOST_STEPS, drawing_of
from reinhardt_tasks.jobs import Cancelled, Failed, Succeeded, TaskStatus, new_id
from reinhardt_tasks.models import StepRow
from reinhardt_tasks.operations import Query, Store
from reinhardt_tasks.workflow_states import ChainStatus, StepStatus
from reinhardt_tasks.workflows import Workflow, get_workflow, group, item, result_of, step
from reinhardt_tasks.workflows.places import database
from reinhardt_tasks.workflows.runs import steps_of
from reinhardt_tasks.workflows.tending import look_after
from tests.operations import chores
from tests.operations.stores import attempt, claim

from .pages import Page, read, url

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def keeper(someone: Callable[..., Client]) -> Client:
    return someone(
        "view_workflowrow", "cancel_workflowrow", "retry_workflowrow", "view_jobrow", "view_arguments_jobrow"
    )


def diamond() -> str:
    """Start a workflow whose second step follows the first, two follow that, and one ends all; return its id."""
    flow = Workflow(f"diamond {EVIL}")
    first = flow.add(step(chores.add, 1).named(f"first {EVIL}"))
    sides = [flow.add(step(chores.add, number).named(f"side {number}"), after=[first]) for number in (1, 2)]
    flow.add(step(chores.add, 3).named("last"), after=sides)
    return flow.start().id


def fail_next(store: Store, workflow: str) -> None:
    """Let the next task fail, and the workflow see that, as a worker does."""
    one = claim(store)
    store.broker.settle([Failed(claim=one, attempt=attempt(one, traceback="ValueError: 20261126"))])
    look_after(workflow)


def fan(store: Store, size: int) -> str:
    """Start a workflow whose second step runs for each of so many items, which its first one has told; return its id."""
    flow = Workflow("fan")
    flow.add(step(chores.add, 1).named("scan"))
    flow.add(step(chores.add, item).named("files").for_each(result_of("scan")))
    id_ = flow.start().id
    store.broker.settle([Succeeded(claim=claim(store), result=json.dumps([0] * size))])
    look_after(id_)
    return id_


def test_workflows_are_listed_by_name(store: Store, keeper: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_pages, "PAGE", 2)
    one, *others = diamond(), *[fan(store, 1) for _ in range(3)]
    place = url("workflowrow_changelist")
    page = read(keeper.get(place))
    (field,) = [each for each in page.inputs if each.get("name") == "name"]
    assert page.complaints == [] and field["value"] == ""
    # The state that is chosen stays.
    asked = {"state": "running", "name": f"diamond {EVIL}"}
    found = read(keeper.get(place, asked))
    assert one in found.text and not any(id_ in found.text for id_ in others)
    kept = {each.get("name"): each.get("value") for each in found.inputs}
    assert asked.items() <= kept.items()
    html = keeper.get(place, {"state": "running", "name": "fan", "after": others[-1]}).content.decode()
    assert 'href="?state=running&amp;name=fan"' in html and 'href="?state=running"' not in html.split("rt-pager")[1]


def test_workflows_are_listed_by_state(store: Store, keeper: Client) -> None:
    ids = [diamond(), diamond()]
    get_workflow(ids[0]).cancel()
    page = read(keeper.get(url("workflowrow_changelist")))
    assert page.complaints == [] and EVIL in page.text and "0 of 4" in page.text
    for state, shown in (("cancelled", {ids[0]}), ("running", {ids[1]}), ("failed", set()), ("nonsense", set(ids))):
        text = read(keeper.get(url("workflowrow_changelist"), {"state": state})).text
        assert {id_ for id_ in ids if id_ in text} == shown


def test_a_workflow_is_drawn_with_its_steps_states(store: Store, keeper: Client) -> None:
    id_ = diamond()
    response = keeper.get(url("workflowrow_change", id_))
    page = read(response)
    assert page.complaints == [] and page.tags.count("rect") == 4
    assert f"first {EVIL}: Pending" in page.text and "last: Waiting" in page.text
    drawing = response.context["drawing"]
    assert len(drawing.lines) == 4
    columns: dict[int, list[str]] = {}
    for node in drawing.nodes:
        columns.setdefault(node.x, []).append(node.step.name)
    assert [sorted(names) for _x, names in sorted(columns.items())] == [
        [f"first {EVIL}"],
        ["side 1", "side 2"],
        ["last"],
    ]
    assert len({(node.x, node.y) for node in drawing.nodes}) == 4


def test_a_point_at_which_steps_meet_takes_little_room(sqlite_store: Store, keeper: Client) -> None:
    flow = Workflow("stages")
    before = flow.add(group(*[step(chores.add, number) for number in range(3)]))
    flow.add(group(*[step(chores.add, number) for number in range(3)]), after=[before])
    drawing = drawing_of(id_ := flow.start().id)
    assert drawing is not None and drawing.fits
    columns = sorted({(node.x, node.width, node.step is None) for node in drawing.nodes})
    assert [is_gate for _x, _width, is_gate in columns] == [False, True, False]
    ends = [x + width for x, width, _is_gate in columns]
    assert ends[1] - ends[0] <= 60 and drawing.width == ends[2] + 8
    assert "waits for all that leads here" in read(keeper.get(url("workflowrow_change", id_))).text


def test_the_part_that_refreshes_itself_comes_without_the_frame(store: Store, keeper: Client) -> None:
    page = read(keeper.get(url("workflowrow_change", diamond()), {"part": ""}))
    assert "html" not in page.tags and "svg" in page.tags


def test_one_that_is_too_large_to_draw_is_told_in_numbers(sqlite_store: Store, keeper: Client) -> None:
    flow = Workflow("wide")
    flow.add(group(*[step(chores.add, number) for number in range(MOST_STEPS + 50)]))
    id_ = flow.start().id
    page = read(keeper.get(url("workflowrow_change", id_)))
    assert "svg" not in page.complaints and page.tags.count("rect") == 0
    assert (
        "there are too many to draw" in page.text and f"add 0 {MOST_STEPS + 50} 0 0 0 0 {MOST_STEPS + 50}" in page.text
    )
    assert "Next" in page.text
    second = read(keeper.get(url("workflowrow_change", id_), {"after": "99"}))
    assert second.complaints == []


def test_a_page_takes_few_statements_however_large_the_workflow(sqlite_store: Store, keeper: Client) -> None:
    numbers = []
    for size in (210, 2000):
        flow = Workflow("wide")
        flow.add(group(*[step(chores.add, number) for number in range(size)]))
        place = url("workflowrow_change", flow.start().id)
        keeper.get(place)
        with CaptureQueriesContext(connections["sqlite"]) as captured:
            read(keeper.get(place))
        numbers.append(len(captured))
    assert numbers[0] == numbers[1] <= 12


def test_a_list_takes_as_many_statements_for_many_workflows_as_for_one(sqlite_store: Store, keeper: Client) -> None:
    numbers = []
    for _ in range(2):
        for _each in range(8):
            diamond()
        with CaptureQueriesContext(connections[database()]) as captured:
            keeper.get(url("workflowrow_changelist"))
        numbers.append(len(captured))
    assert numbers[0] == numbers[1] <= 4


def test_a_steps_task_leads_to_its_workflow(store: Store, keeper: Client, someone: Callable[..., Client]) -> None:
    id_ = diamond()
    (job,) = store.broker.find(Query())
    link = f'href="{url("workflowrow_change", id_)}"'
    assert link in keeper.get(url("jobrow_change", job.id)).content.decode()
    assert link not in someone("view_jobrow").get(url("jobrow_change", job.id)).content.decode()


def test_many_abreast_are_not_drawn(sqlite_store: Store) -> None:
    flow = Workflow("abreast")
    flow.add(group(*[step(chores.add, number) for number in range(60)]))
    id_ = flow.start().id
    assert drawing_of(id_) is None


def test_a_step_for_each_is_drawn_as_one_with_how_far_its_members_are(store: Store, keeper: Client) -> None:
    flow = Workflow("fan")
    flow.add(step(chores.add, 1).named("scan"))
    flow.add(step(chores.add, item).named("files").for_each(result_of("scan")))
    id_ = flow.start().id
    page = read(keeper.get(url("workflowrow_change", id_)))
    assert page.complaints == [] and page.tags.count("rect") == 2 and "files: Waiting" in page.text
    for number in range(3):
        one = claim(store)
        store.broker.settle([Succeeded(claim=one, result=json.dumps([0] * (MOST_STEPS + 50)) if number == 0 else "1")])
        look_after(id_)
    response = keeper.get(url("workflowrow_change", id_))
    page = read(response)
    assert page.complaints == []
    # Two boxes, and a bar in one of them; two steps in the table.
    assert f"files: Running, 2 of {MOST_STEPS + 50}" in page.text and f"files 2/{MOST_STEPS + 50}" in page.text
    assert page.tags.count("rect") == 3
    # Of the two members that have ended; the one of all that began first.
    step_ = response.context["steps"][1]
    assert step_.attempts == 2 and step_.started_at is not None and step_.finished_at is None
    (scan, files) = [node for node in response.context["drawing"].nodes if node.step is not None]
    assert (scan.filled, files.filled) == (0, 168 * 2 // (MOST_STEPS + 50))


def test_members_of_a_step_are_listed_on_request_and_what_failed_alone(sqlite_store: Store, keeper: Client) -> None:
    id_ = fan(sqlite_store, MOST_STEPS + 50)
    fail_next(sqlite_store, id_)
    failed = steps_of(id_, statuses=[StepStatus.FAILURE])[0].name

    def rows(**asked: str) -> tuple[list[str], Page]:
        response = keeper.get(url("workflowrow_change", id_), asked)
        page = read(response)
        assert page.complaints == []
        return [each.name for each in response.context["steps"]], page

    names, page = rows()
    assert names == ["scan", "files"] and f"1 of {MOST_STEPS + 50}" in page.text and "Next" not in page.text
    names, page = rows(show="members")
    assert names == ["scan", *[f"files[{number}]" for number in range(99)]] and "Next" in page.text
    names, page = rows(show="failed")
    assert names == [failed] and "Next" not in page.text
    plain = read(keeper.get(url("workflowrow_change", diamond()), {"show": "failed"})).text
    assert "There are no such steps." in plain and "With all members" not in plain


def test_a_workflow_is_cancelled_after_a_question(store: Store, keeper: Client) -> None:
    id_ = diamond()
    place = url("workflowrow_act", id_)
    page = read(keeper.post(place, {"deed": "cancel"}))
    assert "Cancel this workflow?" in page.text and page.complaints == []
    assert not get_workflow(id_).is_finished
    assert "Done." in read(keeper.post(place, {"deed": "cancel", "confirmed": "1"}, follow=True)).text
    assert get_workflow(id_).status is ChainStatus.CANCELLED
    (entry,) = LogEntry.objects.all()
    assert entry.get_admin_url() == url("workflowrow_change", id_) and EVIL in entry.object_repr


def test_a_cancelled_one_is_looked_at_again_until_nothing_of_it_runs(store: Store, keeper: Client) -> None:
    id_ = diamond()
    one = claim(store)
    get_workflow(id_).cancel()
    response = keeper.get(url("workflowrow_change", id_))
    assert "data-rt-refresh" in response.content.decode() and "first" in read(response).text
    assert response.context["steps"][0].state is TaskStatus.RUNNING
    store.broker.settle([Cancelled(claim=one, attempt=attempt(one))])
    look_after(id_)
    response = keeper.get(url("workflowrow_change", id_))
    assert "data-rt-refresh" not in response.content.decode()
    assert response.context["steps"][0].state is StepStatus.CANCELLED


def test_what_can_be_done_comes_with_the_part_that_refreshes_itself(store: Store, keeper: Client) -> None:
    id_ = diamond()
    place = url("workflowrow_change", id_)
    assert read(keeper.get(place, {"part": ""})).buttons == ["cancel"]
    get_workflow(id_).cancel()
    assert read(keeper.get(place, {"part": ""})).buttons == ["retry-failed", "retry"]


def test_a_step_whose_store_is_away_is_shown_with_all_else(sqlite_store: Store, keeper: Client, settings: Any) -> None:
    away = {
        "BACKEND": "reinhardt_tasks.backends.RedisBackend",
        "OPTIONS": {"URL": "redis://127.0.0.1:1/0", "PREFIX": "x:"},
    }
    id_ = diamond()
    StepRow.objects.using(database()).filter(position=0).update(alias="lonely")
    settings.TASKS = {**settings.TASKS, "lonely": away}
    response = keeper.get(url("workflowrow_change", id_))
    page = read(response)
    assert page.complaints == [] and "The store of lonely is away" in page.text and "side 1" in page.text
    assert [step.state for step in response.context["steps"]][:2] == [StepStatus.READY, StepStatus.WAITING]


def test_of_a_cancelled_one_is_told_what_succeeded(store: Store, keeper: Client) -> None:
    id_ = fan(store, 3)
    get_workflow(id_).cancel()
    page = read(keeper.get(url("workflowrow_change", id_), {"show": "members"}))
    assert page.complaints == [] and "1 of 4 succeeded" in page.text and "TaskCancelled" not in page.text
    reasons = {each.reason for each in steps_of(id_, statuses=[StepStatus.CANCELLED])}
    assert reasons and all(reason in page.text and "reinhardt_tasks" not in reason for reason in reasons)
    assert "1 of 4 succeeded" in read(keeper.get(url("workflowrow_changelist"))).text


@pytest.mark.parametrize("deed", ["retry", "retry-failed"])
def test_a_workflow_is_retried(store: Store, keeper: Client, deed: str) -> None:
    id_ = diamond()
    get_workflow(id_).cancel()
    page = read(keeper.get(url("workflowrow_change", id_)))
    assert page.buttons == ["retry-failed", "retry"]
    keeper.post(url("workflowrow_act", id_), {"deed": deed, "confirmed": "1"})
    assert get_workflow(id_).status is ChainStatus.RUNNING
    assert [job.status for job in store.broker.find(Query(statuses=(TaskStatus.PENDING,)))] == [TaskStatus.PENDING]


def test_what_is_in_no_state_for_it_is_told(store: Store, keeper: Client) -> None:
    id_ = diamond()
    response = keeper.post(url("workflowrow_act", id_), {"deed": "retry", "confirmed": "1"}, follow=True)
    assert "nothing was done" in read(response).text and not LogEntry.objects.exists()
    assert keeper.post(url("workflowrow_act", id_), {"deed": "explode"}).status_code == 400


@pytest.mark.parametrize(
    ("deed", "takes"),
    [("cancel", "cancel_workflowrow"), ("retry", "retry_workflowrow"), ("retry-failed", "retry_workflowrow")],
)
def test_whoever_may_not_does_not(store: Store, someone: Callable[..., Client], deed: str, takes: str) -> None:
    id_ = diamond()
    if deed != "cancel":
        get_workflow(id_).cancel()
    before = get_workflow(id_).status
    every = {"view_workflowrow", "cancel_workflowrow", "retry_workflowrow"}
    for client in (someone(*(every - {takes})), someone("view_workflowrow"), someone(takes)):
        assert client.post(url("workflowrow_act", id_), {"deed": deed, "confirmed": "1"}).status_code == 403
    assert get_workflow(id_).status is before and not LogEntry.objects.exists()
    assert someone(takes).get(url("workflowrow_change", id_)).status_code == 403
    assert someone("retry_jobrow").get(url("workflowrow_changelist")).status_code == 403


def test_one_that_is_gone_is_a_404(store: Store, keeper: Client) -> None:
    for id_ in (new_id(), "no-id"):
        assert keeper.get(url("workflowrow_change", id_)).status_code == 404


def test_messages_of_errors_are_shown_to_those_only_who_may_see_arguments(
    sqlite_store: Store, keeper: Client, someone: Callable[..., Client]
) -> None:
    id_ = diamond()
    fail_next(sqlite_store, id_)
    pages: list[Page] = [
        read(client.get(url("workflowrow_change", id_))) for client in (keeper, someone("view_workflowrow"))
    ]
    assert ["ValueError" in page.text for page in pages] == [True, False]
