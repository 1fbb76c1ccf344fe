"""A store that goes away half way: what was done before is in the history, and is told."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from reinhardt_tasks.operations import Store
from tests.operations import chores
from tests.operations.stores import fail, goes_away, succeed

from .pages import Page, url


def posted(client: Client, name: str, order: dict[str, Any]) -> str:
    """Return the words of the page that says that the store is away."""
    response = client.post(url(name), order)
    assert response.status_code == 503
    text = Page(response.content.decode()).text
    assert "Nobody answers." in text
    return text


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reinhardt_tasks.operations.actions.BATCH", 2)
    monkeypatch.setattr("reinhardt_tasks.operations.queues.PRUNED_AT_ONCE", 2)


def test_all_that_match(store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [chores.add.enqueue(number).id for number in range(5)]
    goes_away(monkeypatch, store, "search", 2)
    order = {"deed": "cancel", "backend": "default", "all": "1", "filters": "", "confirmed": "1"}
    assert "Done for 4 tasks." in posted(chief, "jobrow_act", order)
    assert {entry.object_id for entry in LogEntry.objects.all()} == set(ids[1:])


def test_a_store_that_is_away_from_the_beginning_is_not_said_to_have_had_nothing_to_do(
    store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    chores.add.enqueue(1)
    goes_away(monkeypatch, store, "search", 0)
    order = {"deed": "cancel", "backend": "default", "all": "1", "filters": "", "confirmed": "1"}
    assert "nothing to do" not in posted(chief, "jobrow_act", order)


def test_a_group_of_failures(store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        chores.add.enqueue(number)
        fail(store, traceback='  File "one.py", line 9, in y\nValueError: no')
    goes_away(monkeypatch, store, "search", 1)
    group = {"name": chores.add.module_path, "exception": "builtins.ValueError", "place": "one.py:9 in y"}
    order = {"deed": "retry", "backend": "default", "confirmed": "1", **group}
    assert "Done for 2 tasks." in posted(chief, "jobrow_failures_act", order)
    assert LogEntry.objects.count() == 2


def test_clearing_a_queue(store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        chores.add.enqueue(number)
    goes_away(monkeypatch, store, "search", 1)
    order = {"deed": "clear", "backend": "default", "queue": "default", "confirmed": "1"}
    assert "2 tasks were deleted." in posted(chief, "jobrow_queues_act", order)
    (entry,) = LogEntry.objects.all()
    assert entry.change_message.startswith("Cleared.") and "2" in entry.change_message


def test_deleting_what_finished(store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        chores.add.enqueue(number)
        succeed(store)
    goes_away(monkeypatch, store, "prune", 1)
    before = f"{timezone.localtime():%Y-%m-%dT%H:%M:%S.%f}"
    order = {"deed": "prune", "backend": "default", "before": before, "confirmed": "1"}
    assert "2 tasks were deleted." in posted(chief, "jobrow_care_act", order)
    (entry,) = LogEntry.objects.all()
    assert entry.change_message.startswith("Finished tasks deleted.")


def test_what_a_group_leaves_is_told(store: Store, chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    chores.add.enqueue(1)
    id_ = fail(store, traceback='  File "one.py", line 9, in y\nValueError: no')
    group = {"name": chores.add.module_path, "exception": "builtins.ValueError", "place": "one.py:9 in y"}
    monkeypatch.setattr(store.broker, "retry", lambda ids: [])
    order = {"deed": "retry", "backend": "default", "confirmed": "1", **group}
    text = Page(chief.post(url("jobrow_failures_act"), order, follow=True).content.decode()).text
    assert "Done for 0" not in text and f"Not done for 1 task; for {id_}: It changed meanwhile" in text
