"""The database backend: tasks are rows, and part of the caller's transaction, in whichever database the settings name."""

from __future__ import annotations

import math
import pickle
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import DatabaseError, connections, transaction

from reinhardt_tasks._compat import InvalidTask, TaskResultDoesNotExist, TaskResultMismatch, task_backends
from reinhardt_tasks.backends import DatabaseBackend
from reinhardt_tasks.exceptions import QueueError, SerializationFailed
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.models import JobRow
from tests.servers import wait_until

from . import chores
from .chores import CORE_TAKES_MORE, aadd, add, fail, note, report
from .original_words import UNKNOWN, OriginalWords
from .working import work_off

BACKEND = "reinhardt_tasks.backends.DatabaseBackend"


class Router:
    """Sends the tables of this app to a database that is not the default."""

    database: str | None = None

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self.database if model._meta.app_label == "reinhardt_tasks" else None

    db_for_write = db_for_read


@pytest.fixture
def backend(database_alias: str, settings: Any) -> Iterator[DatabaseBackend]:
    yield from _backend_on(database_alias, settings)


@pytest.fixture(params=["option", "router"])
def chosen(
    request: pytest.FixtureRequest, database_alias: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DatabaseBackend]:
    """A backend whose database is not the default: its option says so, or the project's router."""
    if request.param == "option":
        yield from _backend_on(database_alias, settings)
        return
    monkeypatch.setattr(Router, "database", database_alias)
    settings.DATABASE_ROUTERS = [f"{Router.__module__}.Router"]
    yield from _backend_on(None, settings)


def _backend_on(database: str | None, settings: Any) -> Iterator[DatabaseBackend]:
    settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"DATABASE": database}}}
    chores.noted.clear()
    backend: DatabaseBackend = task_backends["default"]
    yield backend
    backend.broker.close()


def number_seen_by_others(database: str) -> int:
    """Return how many tasks another connection sees."""
    other = connections[database].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {JobRow._meta.db_table}")
            return int(cursor.fetchone()[0])
    finally:
        other.close()


class TestOriginalWords(OriginalWords):
    @pytest.fixture
    def backend(self, database_alias: str, settings: Any) -> Iterator[DatabaseBackend]:
        yield from _backend_on(database_alias, settings)


# The caller's transaction


def test_a_task_is_seen_when_the_callers_transaction_commits(chosen: DatabaseBackend, database_alias: str) -> None:
    assert chosen.database == database_alias
    with transaction.atomic(using=database_alias):
        result = add.enqueue(1)
        assert add.get_result(result.id).args == [1]
        assert number_seen_by_others(database_alias) == 0
    assert number_seen_by_others(database_alias) == 1
    work_off(chosen)
    assert add.get_result(result.id).return_value == 2


def test_a_rollback_leaves_nothing(chosen: DatabaseBackend, database_alias: str) -> None:
    with pytest.raises(_Stop), transaction.atomic(using=database_alias):
        result = add.enqueue(1)
        add.enqueue_many([((1,), {})] * 3)
        async_to_sync(add.aenqueue)(1)
        raise _Stop
    assert number_seen_by_others(database_alias) == 0
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(result.id)


def test_a_rollback_to_a_savepoint_leaves_what_was_before(backend: DatabaseBackend, database_alias: str) -> None:
    with transaction.atomic(using=database_alias):
        kept = add.enqueue(1)
        with pytest.raises(_Stop), transaction.atomic(using=database_alias):
            add.enqueue(2)
            raise _Stop
    assert [str(row.id) for row in JobRow.objects.using(database_alias)] == [kept.id]


def test_a_coroutine_takes_part_in_the_transaction(backend: DatabaseBackend, database_alias: str) -> None:
    with transaction.atomic(using=database_alias):
        async_to_sync(add.aenqueue)(1)
        assert number_seen_by_others(database_alias) == 0
    assert number_seen_by_others(database_alias) == 1


def test_another_databases_transaction_is_not_waited_for(backend: DatabaseBackend, database_alias: str) -> None:
    with transaction.atomic(using="default"):
        result = add.enqueue(1)
        assert number_seen_by_others(database_alias) == 1
        with pytest.raises(TimeoutError):
            result.wait(timeout=0)


@pytest.mark.django_db(transaction=True)
def test_without_option_or_router_it_is_the_default_database(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": BACKEND}}
    assert task_backends["default"].database == "default"
    with transaction.atomic():
        result = add.enqueue(1)
        assert number_seen_by_others("default") == 0
    assert JobRow.objects.get().pk == UUID(result.id)


def test_a_database_that_does_not_answer_is_an_error_that_names_it(
    backend: DatabaseBackend, database_alias: str
) -> None:
    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise DatabaseError("the disk is full")

    with (
        connections[database_alias].execute_wrapper(refuse),
        pytest.raises(QueueError, match=f"'{database_alias}' failed: the disk is full"),
    ):
        add.enqueue(1)
    assert number_seen_by_others(database_alias) == 0


# Waiting


def test_to_wait_in_the_tasks_own_transaction_is_refused(backend: DatabaseBackend, database_alias: str) -> None:
    with transaction.atomic(using=database_alias):
        result = add.enqueue(1)
        with pytest.raises(RuntimeError, match=f"{result.id} would never end.*Wait after the transaction"):
            result.wait()
        with pytest.raises(RuntimeError, match="never end"):
            async_to_sync(result.await_)(timeout=5)
    with pytest.raises(TimeoutError, match="PENDING"):
        result.wait(timeout=timedelta(milliseconds=20))


@pytest.mark.django_db
def test_a_test_cases_own_transaction_is_no_reason_not_to_wait(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": BACKEND}}
    result = add.enqueue(1)
    with pytest.raises(TimeoutError):
        result.wait(timeout=0)
    with transaction.atomic(), pytest.raises(RuntimeError):
        result.wait(timeout=0)


def test_wait_ends_when_the_task_has_ended(backend: DatabaseBackend) -> None:
    good, bad = add.enqueue(1), fail.enqueue()
    thread = threading.Thread(target=work_off, args=[backend])
    thread.start()
    assert good.wait(timeout=60).return_value == 2
    assert async_to_sync(bad.await_)(timeout=60).state is TaskStatus.FAILURE
    thread.join()
    assert bad.errors[0].exception_class is ValueError


# Many at once


def test_ten_thousand_are_stored_in_order(backend: DatabaseBackend, database_alias: str) -> None:
    results = add.enqueue_many(((number,), {}) for number in range(10_000))
    assert number_seen_by_others(database_alias) == 10_000
    assert [result.args for result in results] == [[number] for number in range(10_000)]
    assert add.get_result(results[-1].id).args == [9_999]
    assert sorted(result.id for result in results) == [result.id for result in results]


def test_of_ten_thousand_all_or_none_are_stored(backend: DatabaseBackend, database_alias: str) -> None:
    calls: list[Any] = [((number,), {}) for number in range(10_000)]
    inserts = 0

    def refuse_the_third(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal inserts
        inserts += "INSERT INTO" in sql
        if inserts == 3:
            raise DatabaseError("the disk is full")
        return execute(sql, params, many, context)

    with pytest.raises(SerializationFailed):
        note.enqueue_many([*calls, (({1},), {})])
    with pytest.raises(TypeError):
        add.enqueue_many([*calls, ((), {})])
    with connections[database_alias].execute_wrapper(refuse_the_third), pytest.raises(QueueError):
        add.enqueue_many(calls)
    assert inserts == 3
    assert number_seen_by_others(database_alias) == 0


def test_of_none_none_are_stored(backend: DatabaseBackend) -> None:
    assert add.enqueue_many([]) == []


# Coroutines


def test_the_async_twins_do_the_same(backend: DatabaseBackend, database_alias: str) -> None:
    async def all_of_them() -> None:
        result = await aadd.aenqueue(1, b=2)
        assert (await aadd.aget_result(result.id)).kwargs == {"b": 2}
        first, second = await aadd.aenqueue_many([((1,), {}), ((2,), {})])
        assert await first.acancel()
        await first.arefresh()
        assert first.state is TaskStatus.CANCELLED
        assert await backend.acancel([second.id, new_id()]) == [second.id]
        with pytest.raises(TaskResultDoesNotExist):
            await aadd.aget_result(new_id())
        with pytest.raises(TaskResultMismatch):
            await add.aget_result(result.id)
        with pytest.raises(SerializationFailed):
            await note.aenqueue({1})

    async_to_sync(all_of_them)()
    assert number_seen_by_others(database_alias) == 3
    work_off(backend)
    assert sorted(row.status for row in JobRow.objects.using(database_alias)) == ["CANCELLED", "CANCELLED", "SUCCESS"]


# Results


@pytest.mark.parametrize("unknown", [UNKNOWN, "no id", "", "0" * 40])
def test_an_unknown_id_is_told(backend: DatabaseBackend, unknown: str) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        add.get_result(unknown)


def test_a_result_belongs_to_its_task(backend: DatabaseBackend) -> None:
    result = add.enqueue(1)
    with pytest.raises(TaskResultMismatch, match="add"):
        note.get_result(result.id)
    assert backend.get_result(result.id).task == add


def test_a_result_has_the_task_as_it_was_enqueued(backend: DatabaseBackend) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    it = add.using(priority=-30, queue_name="emails", run_after=later, metadata={"order": 5})
    result = it.enqueue(1, b=2)
    found = add.get_result(result.id)
    assert (found.args, found.kwargs, found.backend) == ([1], {"b": 2}, "default")
    assert (found.task.priority, found.task.queue_name, found.task.run_after) == (-30, "emails", later)
    assert (found.state, found.metadata) == (TaskStatus.SCHEDULED, {"order": 5})
    assert found.errors == found.worker_ids == []


def test_metadata_and_progress_are_seen_while_the_task_runs(backend: DatabaseBackend) -> None:
    chores.has_reported.clear()
    chores.may_end.clear()
    result = report.using(metadata={"team": "a"}).enqueue(5)
    thread = threading.Thread(target=work_off, args=[backend])
    thread.start()
    try:
        assert chores.has_reported.wait(60)
        result.refresh()
        assert (result.state, result.progress) == (TaskStatus.RUNNING, (1, 5))
        assert result.metadata == {"team": "a", "step": "first"}
    finally:
        chores.may_end.set()
        thread.join()
    result.refresh()
    assert (result.state, result.return_value) == (TaskStatus.SUCCESS, result.id)
    assert result.metadata == {"team": "a", "step": "last"}


def test_tasks_and_results_pickle(backend: DatabaseBackend) -> None:
    it = add.using(priority=3, metadata={"a": 1})
    assert pickle.loads(pickle.dumps(it)) == it
    waiting, good, bad = it.using(run_after=timedelta(hours=1)).enqueue(1), it.enqueue(1), fail.enqueue()
    work_off(backend)
    for result in (waiting, good, bad):
        result.refresh()
        again = pickle.loads(pickle.dumps(result))
        assert again == result
        again.refresh()
        assert again == result
    assert pickle.loads(pickle.dumps(good)).return_value == 2


# What is refused


def _deep() -> Any:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


def _ring() -> Any:
    value: Any = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(datetime(2026, 1, 1, tzinfo=UTC), "datetime.*isoformat", id="datetime"),
        pytest.param(date(2026, 1, 1), "date.*isoformat", id="date"),
        pytest.param({1, 2}, "set.*list", id="set"),
        pytest.param(User(pk=1), "User.*primary key", id="model instance"),
        pytest.param(math.nan, "nan", id="NaN"),
        pytest.param(math.inf, "inf", id="infinity"),
        pytest.param(b"bytes", "bytes.*base64", id="bytes"),
        pytest.param(Decimal(1), "Decimal.*str", id="Decimal"),
        pytest.param(object(), "object", id="object"),
        pytest.param({1: "a"}, "key.*text", id="key that is a number"),
        pytest.param([{"a": [{None: 1}]}], "key.*text", id="key that is None"),
        pytest.param(_deep(), "nested too deeply", id="deep"),
        pytest.param(_ring(), "contain themselves", id="ring"),
    ],
)
@pytest.mark.parametrize("place", ["args", "kwargs", "inside"])
def test_what_json_cannot_hold_is_refused_and_nothing_is_stored(
    value: Any, words: str, place: str, sqlite_backend: DatabaseBackend
) -> None:
    args, kwargs = {"args": ((value,), {}), "kwargs": ((1,), {"more": value}), "inside": (([{"a": value}],), {})}[place]
    with pytest.raises(SerializationFailed, match=words):
        note.enqueue(*args, **kwargs)
    with pytest.raises(SerializationFailed, match=words):
        note.enqueue_many([((1,), {}), (args, kwargs)])
    assert number_seen_by_others("sqlite") == 0


@pytest.mark.parametrize("step", ["list", "dict"])
def test_how_deep_arguments_may_be_is_decided_before_they_are_stored(
    step: str, sqlite_backend: DatabaseBackend
) -> None:
    """Whatever gives up first, the encoder or what is done with the result, gives up before there is a row."""
    value: Any = 1
    stored = 0
    for _ in range(1200):
        value = [value] if step == "list" else {"a": value}
        try:
            note.enqueue(value)
        except SerializationFailed:
            break
        stored += 1
    else:
        pytest.fail("There was no limit.")
    assert number_seen_by_others("sqlite") == stored > 50
    JobRow.objects.using("sqlite").order_by("-id").filter(
        pk__lt=JobRow.objects.using("sqlite").latest("pk").pk
    ).delete()
    work_off(sqlite_backend)
    assert JobRow.objects.using("sqlite").get().status == "SUCCESS"


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"c": 2}), ((1,), {"a": 2})])
def test_arguments_that_do_not_fit_are_refused_and_nothing_is_stored(
    args: Any, kwargs: Any, sqlite_backend: DatabaseBackend
) -> None:
    with pytest.raises(TypeError, match="add"):
        add.enqueue(*args, **kwargs)
    assert number_seen_by_others("sqlite") == 0


def test_an_unknown_queue_is_answered_with_the_nearest(sqlite_database: str, settings: Any) -> None:
    letters = add.using(queue_name="emials")
    settings.TASKS = {
        "default": {
            "BACKEND": BACKEND,
            "QUEUES": ["default", "emails"],
            "OPTIONS": {"DATABASE": sqlite_database},
        }
    }
    for attempt in (letters.enqueue, lambda _: add.using(queue_name="emials")):
        with pytest.raises(InvalidTask, match="Queue 'emials' is not valid for backend.*did you mean 'emails'"):
            attempt(1)


@pytest.fixture
def sqlite_backend(sqlite_database: str, settings: Any, django_db_blocker: Any) -> Iterator[DatabaseBackend]:
    """For what does not reach the database, or should not."""
    from tests.databases import emptied

    with django_db_blocker.unblock():
        emptied(sqlite_database)
        yield from _backend_on(sqlite_database, settings)


# Rows that somebody damaged

DAMAGES = {
    "payload is no JSON": {"payload": "add(1)"},
    "payload is empty": {"payload": ""},
    "payload is of another shape": {"payload": '{"a": 1}'},
    "payload is two numbers": {"payload": "[1, 2]"},
    # What Python's decoder, Django's copy of arguments and nobody at all can take, in other words for each Python.
    "payload is nested deeply": {"payload": f"[[{'[' * 900}{']' * 900}],{{}}]", "max_attempts": 1},
    "payload is nested more deeply": {"payload": f"[[{'[' * 3000}{']' * 3000}],{{}}]", "max_attempts": 1},
    "payload is nested without end": {"payload": f"[[{'[' * 100_000}{']' * 100_000}],{{}}]"},
    "arguments do not fit": {"payload": '[[],{"c":1}]', "max_attempts": 1},
    "unknown state": {"status": "WAITING"},
    "state of something that runs": {"status": "RUNNING"},
    "history is no JSON": {"history": "none"},
    "history of another shape": {"history": '{"worker": 1}'},
    "history of numbers": {"history": "[1, null]"},
    "history with words for moments": {"history": '[{"started_at": "yesterday", "finished_at": []}]'},
    "history with a moment beyond all years": {"history": '[{"started_at": 9000000000000000000}]'},
    "metadata is no JSON": {"metadata": "{"},
    "metadata is a list": {"metadata": "[1]"},
    "progress is no JSON": {"progress": "half"},
    "progress of another shape": {"progress": "[1]"},
    "a moment beyond all years": {"enqueued_at": 9_000_000_000_000_000_000},
    "a moment before all years": {"due_at": -9_000_000_000_000_000_000},
    "another name": {"name": "no.such.task", "enqueued_at": 0},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_row_costs_itself_only(backend: DatabaseBackend, database_alias: str, damage: dict[str, Any]) -> None:
    before, damaged, after = [add.enqueue(number) for number in range(3)]
    JobRow.objects.using(database_alias).filter(pk=damaged.id).update(**damage)
    if "name" not in damage:
        assert backend.get_result(damaged.id).id == damaged.id

    work_off(backend)

    assert [add.get_result(result.id).return_value for result in (before, after)] == [1, 3]
    status = backend.get_status(damaged.id)
    assert status.is_finished
    if {"payload", "name"} & damage.keys():
        assert status is TaskStatus.FAILURE
    assert backend.broker.counts() == []
    if "name" not in damage:
        assert backend.get_result(damaged.id).is_finished


def test_a_worker_outlives_a_batch_of_damaged_rows(backend: DatabaseBackend, database_alias: str) -> None:
    results = [add.enqueue(number) for number in range(len(DAMAGES) * 2)]
    for result, damage in zip(results, DAMAGES.values(), strict=False):
        JobRow.objects.using(database_alias).filter(pk=result.id).update(**damage)
    worker = work_off(backend)
    assert worker.succeeded + worker.failed == len(results)
    assert backend.broker.counts() == []


# Django's own decorator


def test_tasks_of_djangos_own_decorator_run(backend: DatabaseBackend) -> None:
    results = [chores.multiply.enqueue(2, b=3), chores.number_of.enqueue()]
    work_off(backend)
    for result in results:
        result.refresh()
    assert [result.return_value for result in results] == [6, 1]
    assert (results[1].task.priority, results[1].task.queue_name) == (7, "emails")


@pytest.mark.skipif(not CORE_TAKES_MORE, reason="Django 6.0's own @task takes no keywords but Django's.")
def test_djangos_own_decorator_takes_our_keywords_too(backend: DatabaseBackend) -> None:
    assert (chores.divide.max_attempts, chores.divide.timeout) == (2, 5)
    result = chores.divide.enqueue(1, 0)
    work_off(backend)
    result.refresh()
    assert (result.state, result.metadata) == (TaskStatus.RETRY, {"by": "core"})
    with pytest.raises(TypeError, match="max_attempt"):
        chores.core_task(max_attempt=2)(chores.divide.func)


# The broker


def test_threads_share_one_broker_and_changed_settings_make_another(backend: DatabaseBackend, settings: Any) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(task_backends["default"]))
    thread.start()
    wait_until(lambda: found, "the thread has its backend")
    thread.join()
    assert found[0] is not backend
    assert found[0].broker is backend.broker
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["default"]}}
    assert task_backends["default"].broker is not backend.broker


class _Stop(Exception):
    pass
