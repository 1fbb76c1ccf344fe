"""Stores, users and clients for the tests of the admin's pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connections
from django.test import Client

from reinhardt_tasks import operations
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.operations import Store
from tests import databases
from tests.operations.stores import QUEUES, redis_store

__all__ = ["redis_store"]

#: Code names of all permissions that the pages ask for.
ALL = [
    "view_jobrow",
    "view_arguments_jobrow",
    "retry_jobrow",
    "run_now_jobrow",
    "change_jobrow",
    "cancel_jobrow",
    "delete_jobrow",
    "edit_jobrow",
    "pause_queue_jobrow",
    "clear_queue_jobrow",
]


@pytest.fixture
def sqlite_store(site: None, settings: Any, sqlite_database: str) -> Iterator[Store]:
    yield from _on_database(settings, sqlite_database)


@pytest.fixture
def postgres_store(site: None, settings: Any, postgres_database: str) -> Iterator[Store]:
    yield from _on_database(settings, postgres_database)


def _on_database(settings: Any, alias: str) -> Iterator[Store]:
    databases.emptied(alias)
    backend = "reinhardt_tasks.backends.DatabaseBackend"
    settings.TASKS = {"default": {"BACKEND": backend, "QUEUES": QUEUES, "OPTIONS": {"DATABASE": alias}}}
    yield operations.store_of("default")
    task_backends["default"].broker.close()


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def store(request: pytest.FixtureRequest, site: Any) -> Store:
    """The alias `default`, empty: on SQLite, on PostgreSQL, on Redis in two shards."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
def site(django_db_blocker: Any) -> Iterator[None]:
    """The admin's own tables, in the database `default`; users and history are gone afterwards."""
    with django_db_blocker.unblock():
        if User._meta.db_table not in connections["default"].introspection.table_names():
            call_command("migrate", verbosity=0, run_syncdb=True)
        yield
        databases.emptied("default")
        User.objects.all().delete()


@pytest.fixture
def someone(site: None) -> Callable[..., Client]:
    """Return a client that has logged in as a member of the staff with these permissions."""

    def made(*code_names: str) -> Client:
        user = User.objects.create_user(f"user{User.objects.count()}", is_staff=True)
        found = list(Permission.objects.filter(codename__in=code_names, content_type__app_label="reinhardt_tasks"))
        assert len(found) == len(code_names)
        user.user_permissions.set(found)
        client = Client()
        client.force_login(user)
        return client

    return made


@pytest.fixture
def chief(someone: Callable[..., Client]) -> Client:
    """A client of somebody who may do everything."""
    return someone(*ALL)
