"""The tables: fields and indexes that mean the same in every database, and migrations that lead there and back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core import checks, serializers
from django.core.management import call_command
from django.db import IntegrityError, connections, transaction
from django.db.models import Max, Min

from reinhardt_tasks.fields import SparseIndex
from reinhardt_tasks.jobs import TaskId, TaskPriority
from reinhardt_tasks.models import JobRow, PauseRow, ResultRow, WorkerRow, lane_of
from tests.databases import added, name_of_this_process
from tests.settings import sqlite

MODELS = list(apps.get_app_config("reinhardt_tasks").get_models())

NOON = datetime(2026, 2, 3, 12, 0, 0, 123456, tzinfo=UTC)
MOMENTS = [NOON - timedelta(days=20_000), NOON - timedelta(microseconds=1), NOON, NOON + timedelta(days=300_000)]


def test_models_of_an_app_that_is_not_installed_say_what_to_do() -> None:
    code = """
from django.conf import settings
import django
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes"], USE_TZ=True)
django.setup()
import reinhardt_tasks.models
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = process.stderr.splitlines()[-1]
    assert process.returncode == 1
    assert "ImproperlyConfigured" in last and last.endswith("add 'reinhardt_tasks' to INSTALLED_APPS.")


@pytest.fixture
def database(database_alias: str) -> str:
    return database_alias


def row(database: str, **values: Any) -> JobRow:
    """Store a row by hand, as nobody else does."""
    needed = {"alias": "default", "name": "a.task", "queue": "default", "payload": "[[],{}]", "status": "PENDING"}
    moments = {"enqueued_at": NOON, "due_at": NOON}
    created: JobRow = JobRow.objects.using(database).create(**{"id": TaskId(), **needed, **moments, **values})
    return created


# Moments


@pytest.fixture
def rows(database: str) -> list[JobRow]:
    return [row(database, due_at=moment) for moment in reversed(MOMENTS)]


def due(database: str, **conditions: Any) -> list[datetime]:
    found = JobRow.objects.using(database).filter(**conditions).order_by("due_at")
    return list(found.values_list("due_at", flat=True))


def test_a_moment_comes_back_to_the_microsecond(database: str, rows: list[JobRow]) -> None:
    assert due(database) == MOMENTS
    assert all(moment.tzinfo is UTC for moment in due(database))
    assert JobRow.objects.using(database).get(pk=rows[0].pk).due_at == MOMENTS[-1]


def test_a_moment_is_looked_up_by_datetimes(database: str, rows: list[JobRow]) -> None:
    assert due(database, due_at=NOON) == [NOON]
    assert due(database, due_at__lt=NOON) == MOMENTS[:2]
    assert due(database, due_at__lte=NOON) == MOMENTS[:3]
    assert due(database, due_at__gt=NOON) == MOMENTS[3:]
    assert due(database, due_at__gte=NOON) == MOMENTS[2:]
    assert due(database, due_at__range=(MOMENTS[1], NOON)) == MOMENTS[1:3]
    assert due(database, due_at__in=[NOON, MOMENTS[0]]) == [MOMENTS[0], NOON]
    assert due(database, due_at__in=JobRow.objects.using(database).filter(due_at=NOON).values("due_at")) == [NOON]


def test_a_moment_is_the_same_in_every_time_zone(database: str, rows: list[JobRow], settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    assert due(database, due_at=NOON.astimezone(timezone(timedelta(hours=-7)))) == [NOON]
    settings.USE_TZ = False
    assert due(database, due_at=NOON) == [NOON]
    assert due(database)[0].utcoffset() == timedelta(0)


def test_a_moment_may_be_missing(database: str) -> None:
    done, waiting = row(database, finished_at=NOON), row(database)
    jobs = JobRow.objects.using(database)
    assert jobs.get(finished_at=None).pk == waiting.pk
    assert jobs.get(finished_at__isnull=False).pk == done.pk
    assert jobs.get(pk=waiting.pk).finished_at is None
    jobs.update(finished_at=None)
    assert jobs.filter(finished_at=None).count() == 2


def test_moments_are_counted_ordered_and_updated(database: str, rows: list[JobRow]) -> None:
    jobs = JobRow.objects.using(database)
    assert jobs.aggregate(Min("due_at"), Max("due_at")) == {"due_at__min": MOMENTS[0], "due_at__max": MOMENTS[-1]}
    assert [job.due_at for job in jobs.order_by("-due_at")] == MOMENTS[::-1]
    jobs.update(due_at=NOON)
    assert due(database) == [NOON] * 4


def test_a_moment_is_valid_as_it_was_stored(database: str) -> None:
    job = JobRow.objects.using(database).get(pk=row(database).pk)
    for name in ("enqueued_at", "due_at"):
        assert JobRow._meta.get_field(name).clean(getattr(job, name), job) == NOON


@pytest.mark.parametrize("format_", ["json", "jsonl", "xml"])
def test_rows_go_through_djangos_serializers(database: str, format_: str) -> None:
    # JSON has milliseconds of it.
    whole = NOON.replace(microsecond=123000)
    stored = row(database, enqueued_at=whole, due_at=whole, finished_at=whole, metadata='{"a": 1}')
    text = serializers.serialize(format_, JobRow.objects.using(database).all())
    JobRow.objects.using(database).all().delete()
    for item in serializers.deserialize(format_, text, using=database):
        item.save(using=database)
    again = JobRow.objects.using(database).get()
    for field in JobRow._meta.fields:
        assert getattr(again, field.attname) == getattr(stored, field.attname), field.name


# Texts


def test_texts_are_compared_letter_by_letter(database: str) -> None:
    for queue in ("mail", "Mail", "MAIL", "máil"):
        row(database, queue=queue)
    jobs = JobRow.objects.using(database)
    assert [jobs.filter(queue=queue).count() for queue in ("mail", "Mail", "MAIL", "máil", "mAIL")] == [1, 1, 1, 1, 0]
    assert [job.queue for job in jobs.order_by("queue")] == ["MAIL", "Mail", "mail", "máil"]
    assert len(jobs.values("queue").distinct()) == 4


def test_once_keys_that_differ_in_a_capital_differ(database: str) -> None:
    row(database, once_key="Order-5")
    row(database, once_key="order-5")
    row(database, once_key="Order-5", alias="other")
    row(database, once_key=None)
    row(database, once_key=None)
    with pytest.raises(IntegrityError), transaction.atomic(using=database):
        row(database, once_key="Order-5")


def test_keys_that_differ_in_a_capital_differ(database: str) -> None:
    for lane in ("default:mail", "default:Mail"):
        PauseRow.objects.using(database).create(lane=lane, paused_at=NOON)
    assert PauseRow.objects.using(database).count() == 2


def test_texts_of_every_language_and_length_fit(database: str) -> None:
    words = "käse 日本語 🧀"
    stored = row(database, name="n" * 255, queue="🧀" * 100, alias="ä" * 64, once_key=words, payload=words * 100_000)
    again = JobRow.objects.using(database).get(pk=stored.pk)
    assert (again.name, again.queue, again.alias, again.once_key) == ("n" * 255, "🧀" * 100, "ä" * 64, words)
    assert again.payload == words * 100_000
    assert len(lane_of("ä" * 64, "🧀" * 100)) == JobRow._meta.get_field("lane").max_length


# What a row says of itself


def test_a_rows_priority_is_djangos_and_ours() -> None:
    job = JobRow(precedence=-100, name="a.task")
    assert (job.priority, job.task_priority) == (100, TaskPriority(9))
    assert JobRow(precedence=0).task_priority == TaskPriority()


def test_rows_are_called_by_what_people_know_them_by() -> None:
    id_ = TaskId()
    assert str(JobRow(name="a.task", id=id_)) == f"a.task {id_}"
    assert (str(WorkerRow(id="w")), str(PauseRow(lane="l")), str(ResultRow(task_id="t"))) == ("w", "l", "t")


# Indexes

SPARSE = [index for index in JobRow._meta.indexes if isinstance(index, SparseIndex)]


def test_the_queue_has_its_sparse_indexes() -> None:
    assert [index.name for index in SPARSE] == ["rt_job_next", "rt_job_wakes", "rt_job_held", "rt_job_finished"]


@pytest.mark.parametrize("index", SPARSE, ids=[index.name for index in SPARSE])
def test_a_sparse_index_is_there_and_partial_where_the_database_can(database: str, index: SparseIndex) -> None:
    connection = connections[database]
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, JobRow._meta.db_table)[index.name]
        assert found["index"] and not found["unique"]
        assert found["columns"] == index.fields
        assert connection.features.supports_partial_indexes == (connection.vendor != "mysql")
        if connection.vendor == "mysql":
            return
        cursor.execute(
            {
                "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = %s",
                "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = %s",
            }[connection.vendor],
            [index.name],
        )
        (sql,) = cursor.fetchone()
    where = sql.partition("WHERE")[2].replace('"', "").strip(" ()")
    assert where == f"{index.fields[0]} IS NOT NULL"


def test_failures_have_an_index_where_it_can_be_of_them_alone(database: str) -> None:
    connection = connections[database]
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, JobRow._meta.db_table).get("rt_job_failed")
    assert (found is not None) == connection.features.supports_partial_indexes
    assert found is None or found["columns"] == ["alias", "id"]


def test_djangos_checks_have_nothing_against_the_tables(database: str) -> None:
    config = apps.get_app_config("reinhardt_tasks")
    found = checks.run_checks(app_configs=[config], tags=[checks.Tags.models], databases=[database])
    assert found == []


# Migrations


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def migrated(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    """The alias, not the default one, of a database that was empty before `migrate`. Nobody else uses it."""
    name = f"{name_of_this_process()}_migrations"
    if request.param == "sqlite":
        server, settings = None, sqlite(tmp_path / "migrations.sqlite3")
    else:
        server = request.getfixturevalue(f"{request.param}_server")
        server.create_database(name)
        settings = server.settings_of(name)
    with added("migrations", settings, django_db_blocker) as alias, django_db_blocker.unblock():
        yield alias
    if server is not None:
        server.drop_database(name)


def tables(database: str) -> set[str]:
    return {name for name in connections[database].introspection.table_names() if name.startswith("reinhardt_tasks_")}


def shape(database: str) -> dict[str, Any]:
    """Return what the database knows of our tables: columns and constraints."""
    connection, known = connections[database], {}
    with connection.cursor() as cursor:
        for model in MODELS:
            table = model._meta.db_table
            columns = connection.introspection.get_table_description(cursor, table)
            known[table] = (sorted(map(str, columns)), connection.introspection.get_constraints(cursor, table))
    return known


def test_migrations_lead_from_nothing_to_the_tables_and_back(migrated: str) -> None:
    assert tables(migrated) == {model._meta.db_table for model in MODELS}
    before = shape(migrated)
    row(migrated)

    call_command("migrate", "reinhardt_tasks", "zero", database=migrated, verbosity=0)
    assert tables(migrated) == set()

    call_command("migrate", "reinhardt_tasks", database=migrated, verbosity=0)
    assert sorted(shape(migrated)) == sorted(before)
    for table, (columns, constraints) in shape(migrated).items():
        assert columns == before[table][0]
        assert _without_random_names(constraints) == _without_random_names(before[table][1])
    assert JobRow.objects.using(migrated).count() == 0


def test_the_kind_is_added_in_place(database: str) -> None:
    written = StringIO()
    call_command("sqlmigrate", "reinhardt_tasks", "0008", database=database, stdout=written)
    assert "is_async" in written.getvalue()
    assert "CREATE TABLE" not in written.getvalue()


def _without_random_names(constraints: dict[str, Any]) -> list[str]:
    return sorted(str(sorted(each.items(), key=str)) for each in constraints.values())


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "reinhardt_tasks", check=True, dry_run=True, verbosity=0)
