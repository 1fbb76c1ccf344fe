"""What travels with a task: it arrives as it was at `enqueue()`, whichever way the task takes, and stays with that task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from reinhardt_tasks import carriers, task
from reinhardt_tasks._compat import task_backends
from reinhardt_tasks.backends import RedisBackend
from reinhardt_tasks.carriers import Carrier, add_carrier, remove_carrier, travels
from reinhardt_tasks.exceptions import Retry, SerializationFailed
from reinhardt_tasks.jobs import TaskStatus

from .redis_doors import Door, door
from .working import work_off

__all__ = ["door"]

tenant: ContextVar[str | None] = ContextVar("tenant", default=None)
amount: ContextVar[Decimal] = ContextVar("amount", default=Decimal(0))


@task
def see() -> list[Any]:
    return [tenant.get(), str(amount.get())]


@task
async def see_later() -> list[Any]:
    await asyncio.sleep(0)
    return [tenant.get(), str(amount.get())]


@task
def see_and_spoil() -> str | None:
    seen = tenant.get()
    tenant.set("spoilt")
    return seen


@task(takes_context=True, max_attempts=2)
def see_again(context: Any) -> list[Any]:
    if context.attempt == 1:
        tenant.set("of the first attempt")
        raise Retry(in_=0)
    return [context.attempt, tenant.get()]


@task
def pass_on() -> str:
    return str(see.enqueue().id)


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """No carriers before, and none after."""
    before = list(carriers._carriers)
    carriers._carriers.clear()
    yield
    carriers._carriers[:] = before


@pytest.fixture
def travelling() -> Iterator[None]:
    travels(tenant)
    travels(amount, "the-amount", encode=str, decode=Decimal)
    tokens = [(tenant, tenant.set("acme")), (amount, amount.set(Decimal("1.50")))]
    yield
    for variable, token in tokens:
        variable.reset(token)


@pytest.fixture
def database(sqlite_database: str, django_db_blocker: Any, settings: Any) -> Iterator[Any]:
    from tests.databases import emptied

    with django_db_blocker.unblock():
        emptied(sqlite_database)
        settings.TASKS = {
            "default": {
                "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
                "QUEUES": [],
                "OPTIONS": {"DATABASE": sqlite_database},
            }
        }
        yield task_backends["default"]
        task_backends["default"].broker.close()


@pytest.fixture
def immediate(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []}}


def headers_of(backend: Any, result: Any) -> Any:
    return json.loads(backend.broker.get([result.id])[result.id].payload)[2:]


def seen(backend: Any, *results: Any) -> list[Any]:
    """Run all that there is, and return what tasks have seen."""
    work_off(backend)
    for result in results:
        result.refresh()
    return [result.return_value for result in results]


def in_a_transaction(database: str) -> list[Any]:
    """Enqueue in one, in each way, and commit when everything has changed."""
    with transaction.atomic(using=database):
        results = [see.enqueue(), *see.enqueue_many([((), {})] * 2), async_to_sync(see.aenqueue)()]
        token = tenant.set("of the commit")
    tenant.reset(token)
    return results


# The ways


@pytest.mark.usefixtures("immediate", "travelling")
def test_an_immediate_task_sees_it_and_leaves_the_callers_alone() -> None:
    assert see.enqueue().return_value == ["acme", "1.50"]
    assert asyncio.run(_enqueued_later()) == ["acme", "1.50"]
    assert see_and_spoil.enqueue().return_value == "acme"
    assert see_again.enqueue().return_value == [2, "acme"]
    assert tenant.get() == "acme"


async def _enqueued_later() -> Any:
    return (await see_later.aenqueue()).return_value


@pytest.mark.usefixtures("travelling")
def test_functions_and_coroutines_see_what_was_there_at_enqueue(database: Any) -> None:
    results = [each.enqueue() for each in (see, see_later)]
    results += see.enqueue_many([((), {})] * 2)
    results += [async_to_sync(see_later.aenqueue)(), *async_to_sync(see.aenqueue_many)([((), {})])]
    assert headers_of(database, results[0]) == [{"tenant": "acme", "the-amount": "1.50"}]
    tenant.set("another")
    assert seen(database, *results) == [["acme", "1.50"]] * 6


@pytest.mark.usefixtures("travelling")
def test_a_retry_sees_it_again(database: Any) -> None:
    assert seen(database, see_again.enqueue()) == [[2, "acme"]]


@pytest.mark.usefixtures("travelling")
def test_a_task_that_a_task_enqueues_sees_it_too(database: Any) -> None:
    (second,) = seen(database, pass_on.enqueue())
    assert see.get_result(second).return_value == ["acme", "1.50"]


@pytest.mark.usefixtures("travelling")
def test_one_that_is_enqueued_at_the_commit_sees_what_was_there_before(database: Any) -> None:
    alias = database.database
    with transaction.atomic(using=alias):
        see.enqueue_on_commit(using=alias)
        token = tenant.set("of the commit")
    tenant.reset(token)
    (job,) = database.broker.find(_all())
    assert json.loads(job.payload)[2]["tenant"] == "acme"


def _all() -> Any:
    from reinhardt_tasks.brokers.base import Query

    return Query()


@pytest.mark.usefixtures("travelling")
@pytest.mark.parametrize("options", [{}, {"OUTBOX": True}, {"SIGN": True}], ids=["commit", "outbox", "signed"])
def test_on_redis_it_is_as_it_was_at_enqueue(door: Door, database: Any, options: dict[str, Any]) -> None:
    backend: RedisBackend = door(DATABASE=database.database, **options)
    results = [see.enqueue(), asyncio.run(see.aenqueue()), *in_a_transaction(database.database)]
    assert seen(backend, *results) == [["acme", "1.50"]] * 6


# What stays with its task


@pytest.mark.usefixtures("travelling")
def test_nothing_of_one_task_is_seen_by_the_next_in_its_thread(database: Any) -> None:
    first = see_and_spoil.enqueue()
    tenant.set(None)
    without = [see_and_spoil.enqueue() for _ in range(3)]
    work_off(database, concurrency=1)
    for each in (first, *without):
        each.refresh()
    assert [each.return_value for each in (first, *without)] == ["acme", None, None, None]


def test_what_is_not_set_does_not_travel(database: Any) -> None:
    travels(tenant)
    result = see.enqueue()
    assert headers_of(database, result) == []
    assert seen(database, result) == [[None, "0"]]


def test_nothing_travels_that_nobody_has_declared(database: Any) -> None:
    token = tenant.set("acme")
    result = see.enqueue()
    tenant.reset(token)
    assert headers_of(database, result) == []


@pytest.mark.usefixtures("travelling")
def test_a_worker_that_knows_nothing_of_it_runs_the_task(database: Any) -> None:
    result = see.enqueue()
    carriers._carriers.clear()
    tenant.set(None)
    work_off(database)
    result.refresh()
    assert result.return_value[1] == "0"


# Bad values


@pytest.mark.parametrize("enqueue", [see.enqueue, lambda: see.enqueue_many([((), {})])], ids=["one", "many"])
def test_a_value_that_cannot_travel_is_refused_by_name(database: Any, enqueue: Callable[[], Any]) -> None:
    travels(amount)
    token = amount.set(Decimal("1.50"))
    with pytest.raises(SerializationFailed, match=r"What travels as 'amount' .* is a Decimal\. Pass str\(value\)"):
        enqueue()
    amount.reset(token)
    assert database.broker.counts() == []


def test_one_for_the_commit_is_refused_before_it(database: Any) -> None:
    travels(amount)
    token = amount.set(Decimal("1.50"))
    with pytest.raises(SerializationFailed, match="'amount'"):
        see.enqueue_on_commit(using=database.database)
    amount.reset(token)


def test_an_encode_that_fails_is_named(database: Any) -> None:
    travels(tenant, "who", encode=lambda value: {}[value])
    token = tenant.set("acme")
    with pytest.raises(SerializationFailed, match=r"'who' cannot travel with the task: .*KeyError\('acme'\)"):
        see.enqueue()
    tenant.reset(token)


@pytest.mark.usefixtures("travelling")
def test_what_cannot_be_read_fails_the_task_without_a_run(database: Any) -> None:
    result = see.enqueue()
    travels(amount, "the-amount", decode=lambda value: Decimal(f"no {value}"))
    work_off(database)
    result.refresh()
    assert result.state is TaskStatus.FAILURE
    (error,) = result.errors
    assert error.exception_class_path == "reinhardt_tasks.exceptions.SerializationFailed"
    assert "What travelled as 'the-amount' cannot be read here" in error.traceback


def test_two_variables_cannot_travel_under_one_name() -> None:
    travels(tenant, "who")
    with pytest.raises(ValueError, match=r"under one name, 'who': .*name='tenant'.* Give another name=\."):
        travels(amount, "who")


def test_a_variable_that_is_declared_again_travels_once(database: Any) -> None:
    travels(amount)
    travels(amount, encode=str, decode=Decimal)
    token = amount.set(Decimal("1.50"))
    result = see.enqueue()
    amount.reset(token)
    assert seen(database, result) == [[None, "1.50"]]


def test_a_variable_without_a_default_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'bare'.* has no default.*ContextVar\(name, default=None\)"):
        travels(ContextVar("bare"))


# Carriers of one's own


class Notes(Carrier):
    def __init__(self) -> None:
        self.notes: list[Any] = []

    def pack(self) -> dict[str, Any]:
        self.notes.append("packed")
        return {"note": len(self.notes)}


@pytest.mark.usefixtures("immediate")
def test_a_carrier_is_asked_once_for_each_enqueue_as_long_as_it_is_there() -> None:
    carrier = Notes()
    add_carrier(carrier)
    add_carrier(carrier)
    see.enqueue()
    assert carrier.notes == ["packed"]
    remove_carrier(carrier)
    remove_carrier(carrier)
    see.enqueue()
    assert carrier.notes == ["packed"]
