"""What is done to tasks: each action in each state, on lists of ids and on all that match."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from reinhardt_tasks.brokers.base import Changes
from reinhardt_tasks.exceptions import OperationRefused
from reinhardt_tasks.jobs import TaskPriority, TaskStatus, new_id
from reinhardt_tasks.operations import (
    ACTIONS,
    CANCEL,
    DISCARD,
    RETRY,
    RUN_NOW,
    Action,
    Query,
    Store,
    act,
    actions,
    change,
    count_tasks,
    list_tasks,
    narrowed_to,
    on_all,
)
from reinhardt_tasks.operations.queues import pause

from . import chores
from .stores import claim, fail, put_off, status_of, succeed

LATER = timedelta(hours=1)

#: State → what may be done to a task that is in it, and the state that it is in then (None: it is gone).
ALLOWED = {
    TaskStatus.PENDING: {"cancel": TaskStatus.CANCELLED, "discard": None},
    TaskStatus.SCHEDULED: {"cancel": TaskStatus.CANCELLED, "discard": None, "run-now": TaskStatus.PENDING},
    TaskStatus.RETRY: {"cancel": TaskStatus.CANCELLED, "discard": None, "run-now": TaskStatus.PENDING},
    TaskStatus.RUNNING: {"cancel": TaskStatus.RUNNING},
    TaskStatus.SUCCESS: {"discard": None},
    TaskStatus.FAILURE: {"discard": None, "retry": TaskStatus.PENDING},
    TaskStatus.CANCELLED: {"discard": None, "retry": TaskStatus.PENDING},
}


def task_in(store: Store, status: TaskStatus) -> str:
    """Return the id of a task in a state."""
    if status is TaskStatus.SCHEDULED:
        return chores.add.using(run_after=LATER).enqueue(1).id
    id_ = chores.add.enqueue(1).id
    match status:
        case TaskStatus.RUNNING:
            claim(store)
        case TaskStatus.RETRY:
            put_off(store)
        case TaskStatus.SUCCESS:
            succeed(store)
        case TaskStatus.FAILURE:
            fail(store)
        case TaskStatus.CANCELLED:
            store.broker.cancel([id_])
    return id_


@pytest.mark.parametrize("status", list(TaskStatus), ids=str.lower)
@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_an_action_is_done_in_the_states_that_it_is_for(
    store: Store, action: actions.Action, status: TaskStatus
) -> None:
    id_ = task_in(store, status)
    assert status_of(store, id_) is status
    done = act(store, action, [id_])
    if action.name not in ALLOWED[status]:
        assert done.took == [] and done.left == {id_: f"It is {status.value}."}
        assert status_of(store, id_) is status
        return
    assert done.took == [id_] and done.left == {}
    after = ALLOWED[status][action.name]
    assert after is None and store.broker.get([id_]) == {} or status_of(store, id_) is after


def test_of_several_each_is_told_what_became_of_it(store: Store) -> None:
    waiting, failed, gone = chores.add.enqueue(1).id, task_in(store, TaskStatus.CANCELLED), new_id()
    done = act(store, RETRY, [failed, waiting, gone, failed])
    assert done.took == [failed]
    assert done.left == {waiting: "It is PENDING.", gone: "There is no such task (any more)."}


def test_all_that_match_are_done_in_batches_that_can_be_gone_on_with(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 3)
    ids = [chores.add.enqueue(number).id for number in range(8)]
    other = chores.log_in.enqueue("ada", "secret").id
    steps = on_all(store, CANCEL, Query(queue="default"))
    first = next(steps)
    assert list(first.done.took) == ids[:-4:-1] and first.after == ids[-3]
    assert status_of(store, ids[0]) is TaskStatus.PENDING

    # Whoever was interrupted goes on from there; what came meanwhile is left alone.
    late = chores.add.enqueue(9).id
    rest = [id_ for step in on_all(store, CANCEL, Query(queue="default"), after=first.after) for id_ in step.done.took]
    assert rest == ids[:-3][::-1]
    assert {status_of(store, id_) for id_ in (late, other)} == {TaskStatus.PENDING}
    assert {status_of(store, id_) for id_ in ids} == {TaskStatus.CANCELLED}


def test_a_limit_ends_it(store: Store) -> None:
    ids = [chores.add.enqueue(number).id for number in range(5)]
    took = [id_ for step in on_all(store, DISCARD, Query(), limit=2) for id_ in step.done.took]
    assert took == ids[:-3:-1]
    assert len(store.broker.find(Query())) == 3


def test_only_states_that_fit_are_looked_for(store: Store) -> None:
    running, waiting = task_in(store, TaskStatus.RUNNING), chores.add.enqueue(2).id
    took = [id_ for step in on_all(store, DISCARD, Query()) for id_ in step.done.took]
    assert took == [waiting]
    assert status_of(store, running) is TaskStatus.RUNNING
    assert [step.done.took for step in on_all(store, RUN_NOW, Query(statuses=(TaskStatus.RUNNING,)))] == [()]


def test_waiting_tasks_are_changed(store: Store) -> None:
    waiting, running = chores.add.enqueue(1).id, None
    at = timezone.now() + LATER
    done = change(store, [waiting], Changes(priority=50, queue="reports", run_after=at))
    assert done.took == [waiting]
    job = store.broker.get([waiting])[waiting]
    assert (job.priority, job.queue, job.status, job.run_after) == (50, "reports", TaskStatus.SCHEDULED, at)
    running = task_in(store, TaskStatus.RUNNING)
    change(store, [waiting], Changes(priority=TaskPriority(9)))  # type: ignore[arg-type]
    assert store.broker.get([waiting])[waiting].priority == 100
    assert change(store, [running], Changes(priority=1)).left == {running: "It is RUNNING."}
    (step,) = on_all(store, Changes(queue="default"), Query(queue="reports"))
    assert step.done.took == [waiting]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (Changes(), "Say what is to be changed"),
        (Changes(priority=101), "between -100 and 100; 101 does not"),
        (Changes(queue="emial"), "no 'emial' (did you mean 'emails'?)"),
        (Changes(queue=""), "no ''"),
    ],
)
def test_what_a_backend_would_not_take_is_refused(database_store: Store, changes: Changes, words: str) -> None:
    id_ = chores.add.enqueue(1).id
    with pytest.raises(OperationRefused) as told:
        change(database_store, [id_], changes)
    assert words in str(told.value)
    with pytest.raises(OperationRefused):
        next(on_all(database_store, changes, Query()))


@pytest.mark.parametrize("queue", ["", "cut \ud83d", "\x00"])
def test_a_queue_that_cannot_be_is_refused_where_any_queue_will_do(
    database_store: Store, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = chores.add.enqueue(1).id
    monkeypatch.setattr(database_store.backend, "queues", set())
    with pytest.raises(OperationRefused):
        change(database_store, [id_], Changes(queue=queue))
    with pytest.raises(OperationRefused):
        pause(database_store, queue)


def test_what_was_done_is_logged_without_arguments(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    id_ = chores.log_in.enqueue("ada", "swordfish").id
    with caplog.at_level("INFO", logger="reinhardt_tasks"):
        act(store, CANCEL, [id_])
    assert f"Tasks cancelled by hand: backend=default count=1 first={id_}" in caplog.text
    assert "swordfish" not in caplog.text and "ada" not in caplog.text


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_where_no_state_is_left_nothing_is_done(store: Store, action: Action) -> None:
    ids = {status: task_in(store, status) for status in TaskStatus}
    for refused in set(TaskStatus) - action.applies_to:
        query = narrowed_to(Query(statuses=(refused,)), action)
        assert query.statuses == ()
        assert [step.done.took for step in on_all(store, action, query)] == [()]
        assert count_tasks(query, of=[store]).number == 0
        assert list_tasks(query, of=[store]).tasks == []
    assert {status_of(store, id_) for id_ in ids.values()} == set(TaskStatus)
