"""How many tasks match, counted up to a bound."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks.brokers import lookups
from reinhardt_tasks.exceptions import QueueError
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.operations import Query, Store, count_tasks, count_waiting, counting

from . import chores
from .stores import claim, put_off, status_of


@pytest.mark.parametrize(
    "query", [Query(), Query(queue="default"), Query(text="4711"), Query(name=chores.add.module_path)]
)
def test_what_is_enqueued_after_a_bound_was_asked_for_is_left_alone(store: Store, query: Query) -> None:
    ids = [chores.add.enqueue(4711, number).id for number in range(3)]
    bound, inner = operations.bound_of(store, query), operations.bound_of(store, query, after=ids[2])
    late = [chores.add.enqueue(4711, number).id for number in range(5)]
    assert counted(query, after=bound) == "3" and counted(query, after=inner) == "2"
    (step,) = operations.on_all(store, operations.CANCEL, query, after=bound)
    assert sorted(step.done.took) == ids
    assert {status_of(store, id_) for id_ in late} == {TaskStatus.PENDING}


@pytest.mark.parametrize("query", [Query(queue="emails"), Query(exception="ValueError"), Query(statuses=())])
def test_the_bound_of_what_nothing_matches_leaves_all_alone(store: Store, query: Query) -> None:
    chores.add.enqueue(1)
    bound = operations.bound_of(store, query)
    late = chores.log_in.enqueue("ada", "secret").id
    assert counted(Query(), after=bound) == "0" and status_of(store, late) is TaskStatus.PENDING


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "COUNTED", 5)
    monkeypatch.setattr(counting, "PAGE", 2)


def counted(*args: Any, **more: Any) -> str:
    return str(count_tasks(*args, **more))


def test_tasks_are_counted_up_to_a_bound(store: Store, bound: None) -> None:
    ids = [chores.add.enqueue(number).id for number in range(5)]
    chores.log_in.enqueue("ada", "secret")
    here = Query(queue="default")
    assert counted(here) == "5" and counted(Query()) == "5+"
    assert counted(here, after=ids[2]) == "2" and counted(Query(text="nowhere")) == "0"
    # Those behind the limit are not meant.
    assert counted(here, limit=3) == "3" and counted(Query(), limit=5) == "5" and counted(Query(), limit=7) == "5+"
    assert counted(here, of=[store, store]) == "10"


def test_a_search_that_its_own_bound_ends_counts_no_further(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "SCANNED", 2)
    monkeypatch.setattr(lookups, "PAGE", 2)
    for number in range(6):
        chores.add.enqueue(number)
    assert counted(Query(text="0")) == "0+"


def test_a_store_that_is_away_may_have_any_number(database_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> None:
        raise QueueError("away")

    chores.add.enqueue(1)
    monkeypatch.setattr(database_store.broker, "search", away)
    assert counted(Query(), of=[database_store]) == "0+"


def test_what_waits_is_counted_by_queue(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for end in (claim, put_off):
        chores.add.enqueue(1)
        end(store)
    chores.add.using(run_after=timedelta(hours=1)).enqueue(2)
    chores.add.enqueue(3)
    chores.log_in.enqueue("ada", "secret")
    assert str(count_waiting(store, ["default"])) == "3" and str(count_waiting(store, ["default", "emails"])) == "4"
    assert str(count_waiting(store, ["reports"])) == "0"
    monkeypatch.setattr(type(store.broker), "COUNT_LIMIT", 1)
    assert str(count_waiting(store, ["emails"])) == "1+"


def test_only_states_that_fit_are_counted(store: Store) -> None:
    chores.add.enqueue(1)
    claim(store)
    chores.add.enqueue(2)
    assert counted(operations.narrowed_to(Query(), operations.DISCARD)) == "1"
    assert counted(operations.narrowed_to(Query(statuses=(TaskStatus.RUNNING,)), operations.DISCARD)) == "0"
