"""The database backend: tasks are rows, and part of the caller's transaction, in whichever database the settings name."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, connections, transaction
from django.test.utils import CaptureQueriesContext

from reinhardt_tasks._compat import TaskResultDoesNotExist, TaskResultMismatch, task_backends
from reinhardt_tasks.backends import DatabaseBackend
from reinhardt_tasks.brokers.database import broker as database_broker
from reinhardt_tasks.brokers.database import inserts
from reinhardt_tasks.exceptions import QueueError, SerializationFailed
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.models import JobRow
from tests.brokers.promises.base import new_job, new_worker
from tests.servers import wait_until

from . import chores
from .chores import CORE_TAKES_MORE, aadd, add, fail, note, report
from .database_doors import BACKEND, backend, backend_on, chosen, number_seen_by_others
from .original_words import UNKNOWN, OriginalWords
from .working import work_off

__all__ = ["backend", "chosen"]


class TestOriginalWords(OriginalWords):
    @pytest.fixture
    def backend(self, database_alias: str, settings: Any) -> Iterator[DatabaseBackend]:
        yield from backend_on(database_alias, settings)


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


def test_a_result_is_known_to_its_own_backend_only(chosen: DatabaseBackend, settings: Any) -> None:
    settings.TASKS = {**settings.TASKS, "other": settings.TASKS["default"]}
    other: Any = task_backends["other"]
    result = add.enqueue(1)
    with pytest.raises(TaskResultDoesNotExist):
        other.get_result(result.id)
    assert other.cancel([result.id]) == []
    assert task_backends["default"].get_result(result.id).status is result.status
    # An id is one task's, whichever alias it is sent by: a step that was on its way when its alias was changed runs once.
    job = chosen.broker.get([result.id])[result.id]
    (first,) = other.broker.enqueue([job])
    assert first.backend == "default" and other.broker.claim(None, 1, new_worker()) == []
    other.broker.close()


def test_a_result_in_a_queue_that_is_no_more_is_asked_from_its_own_backend(
    chosen: DatabaseBackend, settings: Any
) -> None:
    default = settings.TASKS["default"]
    settings.TASKS = {"default": default, "other": {**default, "QUEUES": ["old"]}}
    id_ = add.using(backend="other", queue_name="old").enqueue(1).id
    settings.TASKS = {"default": default, "other": {**default, "QUEUES": ["new"]}}
    result: Any = task_backends["other"].get_result(id_)
    result.refresh()
    assert (result.task.backend, result.task.queue_name, result.cancel()) == ("other", "old", True)
    task_backends["other"].broker.close()  # type: ignore[attr-defined]


def test_keys_of_one_statement_are_stored_in_one_order(
    chosen: DatabaseBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that store the same keys, each in an order of its own, would wait for one another."""
    given: list[list[str | None]] = []

    def insert_sql(dialect: Any, alias: str, jobs: Any) -> Any:
        given.append([job.once_key for job in jobs])
        return inserts.insert_sql(dialect, alias, jobs)

    monkeypatch.setattr(database_broker, "insert_sql", insert_sql)
    stored = chosen.broker.enqueue([new_job(once_key=key) for key in ("b", None, "c", "a")])
    assert given == [[None, "a", "b", "c"]]
    assert [job.once_key for job in stored] == ["b", None, "c", "a"]


@pytest.mark.parametrize("database_alias", ["postgres"], indirect=True)
@pytest.mark.parametrize("notify", [True, False])
def test_without_notify_nobody_is_told_and_nobody_listens(database_alias: str, settings: Any, notify: bool) -> None:
    """As a pool like PgBouncer needs it, where a statement's session is not the next one's."""
    options = {"DATABASE": database_alias, "NOTIFY": notify}
    settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": options}}
    broker = task_backends["default"].broker
    before = _listening(database_alias)
    try:
        with CaptureQueriesContext(connections[database_alias]) as made:
            add.enqueue(1)
            broker.pause("default")
            broker.resume("default")
            broker.wait(None, 0)
        assert any("pg_notify" in each["sql"] for each in made) is notify
        assert bool(_listening(database_alias) - before) is notify
    finally:
        broker.close()


def _listening(database_alias: str) -> set[int]:
    """Return the sessions that listen."""
    with connections[database_alias].cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        return {pid for (pid,) in cursor.fetchall()}


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
