"""What is done to a whole backend from its pages, and what limits hold back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from reinhardt_tasks.admin import budgets
from reinhardt_tasks.brokers.base import WorkerInfo
from reinhardt_tasks.jobs import Job, TaskStatus, new_id
from reinhardt_tasks.operations import Store, requeue
from tests.operations import chores
from tests.operations.stores import claim, fail, put_back, status_of, succeed

from .conftest import ALL
from .pages import Page, read, url


def prune(before: object, **more: str) -> dict[str, object]:
    return {"deed": "prune", "backend": "default", "before": f"{before:%Y-%m-%dT%H:%M:%S.%f}", **more}


def sent(page: Page) -> dict[str, object]:
    """Return what a page's form sends, as it is."""
    return {each["name"] or "": each.get("value") or "" for each in page.inputs if each.get("type") == "hidden"}


def test_what_finished_before_a_moment_is_deleted_after_a_question(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    id_ = succeed(store)
    page = read(chief.post(url("jobrow_care_act"), {"deed": "prune", "backend": "default"}))
    assert page.complaints == [] and "Delete all tasks of default" in page.text and "confirmed" not in sent(page)
    now = timezone.now()
    # Nothing is deleted before it is told how many there are.
    for before, number in ((now - timedelta(hours=1), 0), (now, 1)):
        page = read(chief.post(url("jobrow_care_act"), prune(before)))
        assert page.complaints == [] and f"Tasks {number} " in page.text
        assert sent(page)["confirmed"] == "1" and id_ in store.broker.get([id_])
    for before, is_left in ((now - timedelta(hours=1), True), (now, False)):
        chief.post(url("jobrow_care_act"), prune(before, confirmed="1"))
        assert (id_ in store.broker.get([id_])) is is_left
    assert [entry.change_message.splitlines()[0] for entry in LogEntry.objects.all()] == ["Finished tasks deleted."] * 2


def test_pruning_goes_on_by_another_press(store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    chores.add.enqueue(1)
    succeed(store)
    monkeypatch.setattr(budgets, "SECONDS", -1.0)
    order = prune(timezone.now(), confirmed="1")
    assert "Go on" in read(chief.post(url("jobrow_care_act"), order)).text
    assert "0 tasks were deleted." in read(chief.post(url("jobrow_care_act"), order, follow=True)).text


def test_a_moment_to_come_deletes_nothing(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    id_ = succeed(store)
    for more in ({}, {"confirmed": "1"}):
        page = read(chief.post(url("jobrow_care_act"), prune(timezone.now() + timedelta(minutes=1), **more)))
        assert "This is yet to come" in page.text and id_ in store.broker.get([id_])


def test_a_moment_that_is_none_deletes_nothing(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    id_ = succeed(store)
    order = {"deed": "prune", "backend": "default", "confirmed": "1", "before": ""}
    assert "required" in read(chief.post(url("jobrow_care_act"), order)).text
    assert id_ in store.broker.get([id_])


def test_what_a_dead_worker_held_runs_again(store: Store, chief: Client) -> None:
    chores.add.enqueue(1)
    lost = WorkerInfo(id=f"lost-{new_id()}", lease=600)
    id_ = claim(store, by=lost).job.id
    store.broker.leave(lost)
    text = read(chief.post(url("jobrow_care_act"), {"deed": "requeue", "backend": "default"}, follow=True)).text
    assert "1 task runs again." in text and status_of(store, id_) is TaskStatus.PENDING
    (entry,) = LogEntry.objects.all()
    assert entry.object_id == id_ and "chores.add" in entry.object_repr


def test_waiting_tasks_that_cannot_run_are_found(store: Store, chief: Client) -> None:
    good = read(chief.get(url("jobrow_check"), {"backend": "default"}))
    assert good.complaints == [] and "All of them can be run." in good.text
    job = Job(id=new_id(), name="gone.<b>task</b>", payload='{"args": [], "kwargs": {}}', backend="default")
    store.broker.enqueue([job])
    page = read(chief.get(url("jobrow_check"), {"backend": "default"}))
    assert page.complaints == [] and "gone.<b>task</b>" in page.text and job.id in page.text


def test_requeueing_goes_on_where_it_ended_until_it_has_seen_all(
    store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = "reinhardt_tasks.exceptions.TaskNotFound"
    chores.add.enqueue(1)
    put_back_one = put_back(store)
    chores.add.enqueue(2)
    failed_one = fail(store, exception=unknown)
    for _ in range(4):
        store.broker.enqueue([Job(id=new_id(), name="gone.tasks.none", payload="[[],{}]", backend="default")])
        fail(store, exception=unknown)
    lost = WorkerInfo(id=f"lost-{new_id()}", lease=600)
    chores.add.enqueue(3)
    lost_one = claim(store, by=lost).job.id
    store.broker.leave(lost)
    monkeypatch.setattr(budgets, "SECONDS", -1.0)
    monkeypatch.setattr(requeue, "_AT_ONCE", 2)
    order: dict[str, object] = {"deed": "requeue", "backend": "default"}
    for _press in range(12):
        response = chief.post(url("jobrow_care_act"), order)
        if response.status_code == 302:
            break
        page = read(response)
        assert page.complaints == [] and "It goes on by itself" in page.text
        order = sent(page)
    assert "3 tasks run again." in read(chief.get(response["Location"])).text
    assert {status_of(store, id_) for id_ in (put_back_one, failed_one, lost_one)} == {TaskStatus.PENDING}


@pytest.mark.parametrize(("deed", "takes"), [("prune", "delete_jobrow"), ("requeue", "retry_jobrow")])
def test_whoever_may_not_does_not(store: Store, someone: Callable[..., Client], deed: str, takes: str) -> None:
    client = someone(*(name for name in ALL if name != takes))
    order = prune(timezone.now() + timedelta(hours=1), confirmed="1") | {"deed": deed}
    assert client.post(url("jobrow_care_act"), order).status_code == 403
    assert deed not in read(client.get(url("jobrow_queues"))).buttons
    assert client.get(url("jobrow_care_act"), order).status_code == 405


def test_what_a_limit_holds_back_is_shown_to_those_who_may_see_arguments(
    store: Store, chief: Client, someone: Callable[..., Client]
) -> None:
    first, second = (chores.add.using(concurrency=1).enqueue(number).id for number in (1, 2))
    claim(store)
    page = read(chief.get(url("jobrow_queues")))
    assert page.complaints == [] and "Held back by limits" in page.text and "at most 1 at once" in page.text
    assert "Held back by" in read(chief.get(url("jobrow_change", second))).text
    assert "1 of 1 are past it , 1 waits" in read(chief.get(url("jobrow_change", second))).text.replace("it,", "it ,")
    assert "Held back by" not in read(chief.get(url("jobrow_change", first))).text
    guest = someone("view_jobrow")
    for place in (url("jobrow_queues"), url("jobrow_change", second)):
        assert "Held back" not in read(guest.get(place)).text
