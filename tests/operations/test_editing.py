"""Other arguments for a task, and a finished one once more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks.exceptions import OperationRefused, TaskNotFound
from reinhardt_tasks.gates import Limit
from reinhardt_tasks.jobs import Job, TaskStatus, new_id
from reinhardt_tasks.operations import Query, Store, arguments_of, edit, run_again, store_of
from reinhardt_tasks.redaction import REDACTED
from reinhardt_tasks.serialization import decode_call, encode_call
from reinhardt_tasks.workflows.launching import HEADER as WORKFLOW

from . import chores
from .stores import claim, fail, status_of, succeed


def call_of(store: Store, id_: str) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    return tuple(decode_call(store.broker.get([id_])[id_].payload))  # type: ignore[return-value]


def test_a_waiting_task_is_edited_where_it_lies(store: Store) -> None:
    first, later = chores.add.enqueue(1).id, chores.add.using(run_after=timedelta(hours=1)).enqueue(2).id
    chores.add.enqueue(3)
    assert edit(store, first, [10], {"b": 5}) == first
    assert edit(store, later, [20], {}) == later
    assert call_of(store, first) == ([10], {"b": 5}, {})
    assert status_of(store, later) is TaskStatus.SCHEDULED
    # It has kept its place.
    assert claim(store).job.id == first


@pytest.mark.parametrize("is_run", [True, False])
def test_a_failed_task_is_edited_and_retried_under_its_id(store: Store, is_run: bool) -> None:
    id_ = chores.add.enqueue(1).id
    fail(store)
    assert edit(store, id_, [2], {"b": 3}, run=is_run) == id_
    job = store.broker.get([id_])[id_]
    assert job.status is (TaskStatus.PENDING if is_run else TaskStatus.FAILURE)
    assert len(job.history) == 1 and call_of(store, id_) == ([2], {"b": 3}, {})


def test_what_travels_with_a_call_stays_with_it_but_run_anew_it_is_no_step(store: Store) -> None:
    name, context = chores.add.module_path, {"tenant": "acme", "timeout": 5.0}
    payload = encode_call(name, [1], {}, {WORKFLOW: {"step": 7}, **context})
    store.broker.enqueue([job := Job(id=new_id(), name=name, payload=payload, backend="default")])
    edit(store, job.id, [2], {})
    assert call_of(store, job.id) == ([2], {}, {WORKFLOW: {"step": 7}, **context})
    succeed(store)
    assert call_of(store, run_again(store, job.id)) == ([2], {}, context)


def test_a_finished_task_is_run_anew_under_another_id(store: Store) -> None:
    id_ = chores.log_in.using(priority=30, metadata={"a": 1}).enqueue("ada", "secret").id
    succeed(store, "emails", result='"ada"')
    edited = edit(store, id_, ["bob", REDACTED], {})
    again = run_again(store, id_)
    assert len({id_, edited, again}) == 3
    assert status_of(store, id_) is TaskStatus.SUCCESS
    assert call_of(store, edited) == (["bob", "secret"], {}, {})
    assert call_of(store, again) == (["ada", "secret"], {}, {})
    for job in store.broker.get([edited, again]).values():
        assert (job.status, job.queue, job.priority, dict(job.metadata)) == (TaskStatus.PENDING, "emails", 30, {"a": 1})


@pytest.mark.parametrize("end", [succeed, fail])
def test_what_ended_since_somebody_looked_is_not_run_once_more(store: Store, end: Callable[[Store], str]) -> None:
    id_ = chores.add.enqueue(1).id
    end(store)
    status = status_of(store, id_)
    with pytest.raises(OperationRefused, match=f"was PENDING when its arguments were read, and is {status.value} now"):
        edit(store, id_, [2], {}, seen=TaskStatus.PENDING)
    assert [job.id for job in store.broker.find(Query())] == [id_] and status_of(store, id_) is status
    # Whoever has seen that says it.
    edit(store, id_, [2], {}, seen=status)
    assert [call_of(store, job.id)[0] for job in store.broker.find(Query(statuses=(TaskStatus.PENDING,)))] == [[2]]


def test_what_was_redacted_is_kept_where_it_was_left(store: Store) -> None:
    id_ = chores.log_in.enqueue("ada", "secret", remember=True).id
    shown = arguments_of(store.broker.get([id_])[id_])
    assert (shown.args, shown.kwargs) == (["ada", REDACTED], {"remember": True})
    edit(store, id_, ["eve", *shown.args[1:]], shown.kwargs)
    assert call_of(store, id_) == (["eve", "secret"], {"remember": True}, {})


def test_a_placeholder_that_was_moved_is_refused(store: Store) -> None:
    id_ = chores.log_in.enqueue("ada", "secret").id
    with pytest.raises(OperationRefused, match="Argument 'password' is"):
        edit(store, id_, ["ada"], {"password": REDACTED})
    assert call_of(store, id_) == (["ada", "secret"], {}, {})


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ([], {}, "missing a required argument: 'a'"),
        ([1, 2, 3], {}, "too many positional arguments"),
        ([1], {"c": 1}, "unexpected keyword argument 'c'"),
        ([{1, 2}], {}, "cannot be stored as JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(database_store: Store, args: Any, kwargs: Any, words: str) -> None:
    id_ = chores.add.enqueue(1).id
    with pytest.raises(OperationRefused, match=words):
        edit(database_store, id_, args, kwargs)
    assert call_of(database_store, id_) == ([1], {}, {})


def test_damaged_arguments_can_be_mended(store: Store) -> None:
    job = Job(id=new_id(), name=chores.add.module_path, payload="damaged", backend="default")
    store.broker.enqueue([job])
    edit(store, job.id, [1], {})
    assert call_of(store, job.id) == ([1], {}, {})


def test_what_cannot_be_edited_is_refused(store: Store) -> None:
    running = chores.add.enqueue(1).id
    claim(store)
    with pytest.raises(OperationRefused, match="cancel it first"):
        edit(store, running, [2], {})
    with pytest.raises(OperationRefused, match="has not ended"):
        run_again(store, running)
    with pytest.raises(TaskNotFound):
        edit(store, new_id(), [1], {})
    unknown = Job(id=new_id(), name="tests.operations.chores.ad", payload="[[],{}]", backend="default")
    store.broker.enqueue([unknown])
    with pytest.raises(OperationRefused, match="Did you mean"):
        edit(store, unknown.id, [1], {})


def test_signed_arguments_are_signed_again(redis_store: Store, settings: Any) -> None:
    default = settings.TASKS["default"]
    settings.TASKS = {"default": {**default, "OPTIONS": {**default["OPTIONS"], "SIGN": True}}}
    store = store_of("default")
    id_ = chores.add.enqueue(1).id
    edit(store, id_, [2], {})
    assert call_of(store, id_) == ([2], {}, {})
    assert claim(store).job.payload == "[[2],{}]"
    store.broker.shards[0].connections.close()  # type: ignore[attr-defined]


def test_what_is_run_anew_keeps_to_its_limits(store: Store) -> None:
    name, limits = chores.add.module_path, (Limit(key="running:it", size=1),)
    payload = encode_call(name, [1], {})
    (job,) = store.broker.enqueue([Job(id=new_id(), name=name, payload=payload, backend="default", limits=limits)])
    succeed(store)
    again = run_again(store, job.id)
    assert store.broker.get([again])[again].limits == limits


@pytest.mark.parametrize("end", [succeed, fail])
def test_a_step_is_not_run_again_with_what_stands_for_another_steps_result(
    store: Store, end: Callable[[Store], Any]
) -> None:
    note = {"id": new_id(), "places": [[[0, 0], None]]}
    payload = encode_call(chores.add.module_path, ["<the previous result>"], {"b": 2}, {WORKFLOW: note})
    job = Job(id=new_id(), name=chores.add.module_path, backend="default", payload=payload)
    store.broker.enqueue([job])
    end(store)
    assert operations.view(store.broker.get([job.id])[job.id]).waits_for_results
    with pytest.raises(OperationRefused, match="are results of other steps"):
        run_again(store, job.id)
    assert len(store.broker.search(Query()).jobs) == 1
    if end is succeed:
        with pytest.raises(OperationRefused, match="are results of other steps"):
            edit(store, job.id, ["<the previous result>"], {"b": 3})
        again = edit(store, job.id, [5], {"b": 2})
        assert call_of(store, again) == ([5], {"b": 2}, {})
