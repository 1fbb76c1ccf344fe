"""`manage.py tasks import` from django-tasks-db: tasks that wait there, on each database, and into Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connections

from reinhardt_tasks import operations
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.jobs import TaskStatus, new_id
from reinhardt_tasks.operations import Query
from tests.moving import chores
from tests.moving.chores import CONFESS, REMIND, REPORT
from tests.moving.houses import QUEUES, facts, moved_in, needs, told

pytestmark = needs("django_tasks_db")

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def house(database_alias: str, settings: Any, django_db_blocker: Any) -> Iterator[str]:
    with moved_in("django_tasks_db", "django_tasks_database", database_alias, settings, django_db_blocker):
        yield database_alias


@pytest.fixture
def redis(house: str, redis_server: Any, settings: Any) -> Iterator[None]:
    """Have an alias `fast` on Redis too."""
    options = {"URL": redis_server.url, "PREFIX": f"test:{new_id()}:", "DATABASE": house}
    settings.TASKS = {
        **settings.TASKS,
        "fast": {"BACKEND": "reinhardt_tasks.backends.RedisBackend", "QUEUES": QUEUES, "OPTIONS": options},
    }
    yield
    task_backends["fast"].broker.connections.close()  # type: ignore[attr-defined]


def table() -> Any:
    return apps.get_model("django_tasks_database", "DBTaskResult").objects


def waiting(task: str = REPORT, *args: Any, **fields: Any) -> str:
    """Let a task wait there, as its own backend would store it; return its id."""
    values = {
        "id": uuid.uuid4(),
        "task_path": task,
        "args_kwargs": {"args": list(args), "kwargs": {}},
        "backend_name": "default",
        "run_after": NEVER,
        "exception_class_path": "",
        "traceback": "",
        **fields,
    }
    return str(table().create(**values).pk)


def ours(alias: str = "default") -> Any:
    return operations.store_of(alias).broker


def claimed(alias: str = "default") -> list[str]:
    """Return the ids of the ready tasks, in the order in which workers take them."""
    from tests.operations.stores import worker

    return [claim.job.id for claim in ours(alias).claim(None, 100, worker())]


def test_a_waiting_task_comes_under_its_id_and_is_gone_there() -> None:
    id_ = waiting(REMIND, 7, queue_name="emails", priority=30)
    assert told()[0] == 0
    assert not table().exists()
    job = ours().get([id_])[id_]
    assert (job.name, job.queue, job.priority, job.status) == (REMIND, "emails", 30, TaskStatus.PENDING)
    result = chores.remind.get_result(id_)
    assert (result.id, result.args) == (id_, [7])


def test_a_task_that_waits_for_its_time_waits_on() -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=40)
    id_ = waiting(run_after=later)
    told()
    job = ours().get([id_])[id_]
    assert (job.status, job.run_after) == (TaskStatus.SCHEDULED, later)


def test_they_keep_their_order() -> None:
    ids = [waiting() for _number in range(30)]
    urgent = waiting(priority=50)
    told()
    assert claimed() == [urgent, *ids]


def test_what_runs_or_has_ended_there_stays_there() -> None:
    for status in ("RUNNING", "SUCCESSFUL", "FAILED"):
        waiting(status=status)
    assert "imported: 0" in told()[1]
    assert table().count() == 3


def test_a_rehearsal_moves_nothing() -> None:
    waiting()
    waiting("shop.tasks.gone")
    rehearsed = facts("--dry-run")
    assert rehearsed["counts"] == {"imported": 1, "present": 0, "left": 0, "refused": 1}
    assert (table().count(), claimed()) == (2, [])
    assert facts()["counts"] == rehearsed["counts"]


def test_a_second_time_changes_nothing() -> None:
    waiting()
    bad = waiting("shop.tasks.gone")
    told()
    before = ours().search(Query(), None, 100).jobs
    assert told()[0] == 1
    assert ours().search(Query(), None, 100).jobs == before
    assert [str(row.pk) for row in table().all()] == [bad]


def test_what_was_brought_by_an_import_that_died_is_not_run_twice() -> None:
    id_ = waiting()
    told()
    assert claimed() == [id_]
    # It died after it had sent the task, and before it had deleted the row.
    waiting(id=uuid.UUID(id_))
    told()
    assert not table().exists()
    assert claimed() == []


def test_many_of_a_kind_are_told_in_one_line() -> None:
    ids = [waiting() for _number in range(450)]
    (line,) = facts()["found"]
    assert (line["count"], line["task"], line["ids"]) == (450, REPORT, ids[:3])
    assert [queue.counts[TaskStatus.PENDING] for queue in ours().counts()] == [450]


def test_names_queues_and_the_backend_may_be_others_here() -> None:
    id_ = waiting("old.tasks.report", queue_name="mail", backend_name="old")
    assert "--rename old.tasks.report=" in facts("--backend", "default")["found"][0]["reason"]
    assert "--backend" in facts("--rename", f"old.tasks.report={REPORT}")["found"][0]["reason"]
    told("--rename", f"old.tasks.report={REPORT}", "--rename-queue", "mail=emails", "--backend", "default")
    assert ours().get([id_])[id_].queue == "emails"


@pytest.mark.parametrize(
    ("task", "args", "fields", "words"),
    [
        (REPORT, ["a", "b"], {}, "cannot be called"),
        (REPORT, [], {"queue_name": "attic"}, "attic"),
        (chores.bill.module_path, ["no date"], {}, "no date"),
    ],
)
def test_what_could_not_run_here_is_refused_and_stays(task: str, args: list[Any], fields: Any, words: str) -> None:
    waiting(task, *args, **fields)
    line = facts()["found"][0]
    assert line["verdict"] == "refused" and words in line["reason"]
    assert table().count() == 1 and claimed() == []


def test_what_is_refused_is_told_without_redacted_arguments() -> None:
    waiting(CONFESS, "swordfish")
    (line,) = facts()["found"]
    assert "is no date" in line["reason"] and "swordfish" not in line["reason"]


def test_typed_arguments_arrive_as_they_are_stored() -> None:
    id_ = waiting(chores.bill.module_path, "2031-01-15")
    told()
    assert chores.bill.get_result(id_).args == ["2031-01-15"]


def test_one_whose_unique_key_is_taken_says_by_whom() -> None:
    first = chores.index.enqueue("a").id
    waiting(chores.index.module_path, "a")
    (line,) = facts()["found"]
    assert (line["verdict"], first in line["reason"]) == ("present", True)
    assert claimed() == [first]


def test_what_somebody_is_at_is_left_to_them(house: str) -> None:
    """A worker there that has locked its next task runs it, and nobody else does."""
    features = connections[house].features
    if not (features.has_select_for_update and features.has_select_for_update_skip_locked):
        pytest.skip("This database locks no single rows.")
    taken, free = waiting(), waiting()
    other = connections.create_connection(house)
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            name = table().model._meta.db_table
            id_ = uuid.UUID(taken)
            param = id_ if other.features.has_native_uuid_field else id_.hex
            cursor.execute(f"SELECT id FROM {name} WHERE id = %s FOR UPDATE", [param])
        told()
        other.rollback()
    finally:
        other.close()
    assert claimed() == [free]
    assert [str(row.pk) for row in table().all()] == [taken]


def test_they_can_go_to_redis(redis: None) -> None:
    ids = [waiting(REMIND, number, queue_name="emails") for number in range(5)]
    told("--backend", "fast")
    assert not table().exists()
    assert claimed("fast") == ids


def test_a_redis_that_is_away_takes_nothing(redis: None, settings: Any) -> None:
    waiting()
    fast = {**settings.TASKS["fast"]}
    fast["OPTIONS"] = {**fast["OPTIONS"], "URL": "redis://127.0.0.1:1/0"}
    settings.TASKS = {**settings.TASKS, "fast": fast}
    assert told("--backend", "fast")[0] == 3
    assert table().count() == 1


def test_without_any_app_there_is_nothing_to_import_from(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_tasks_db"]
    assert told()[0] == 2
    code, words = told("--from", "django-tasks-db")
    assert (code, "INSTALLED_APPS" in words) == (2, True)


def test_a_rename_has_two_sides() -> None:
    code, words = told("--rename", "one")
    assert (code, "OLD=NEW" in words) == (1, True)
