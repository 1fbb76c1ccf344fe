"""A task is enqueued: by one, by many, on commit, and with what cannot be taken."""

from __future__ import annotations

import asyncio
import inspect
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from django.db.utils import ConnectionDoesNotExist

from reinhardt_tasks._compat import TaskResult as CoreTaskResult
from reinhardt_tasks._compat import TaskResultStatus
from reinhardt_tasks.calls import check_call
from reinhardt_tasks.exceptions import SerializationFailed
from reinhardt_tasks.jobs import TaskStatus
from reinhardt_tasks.limits import Unique
from reinhardt_tasks.results import TaskResult
from reinhardt_tasks.tasks import task

from .doors_without_store import add, alias, aliases, double, enqueued, tell, total

__all__ = ["alias", "aliases"]


# Enqueueing


def test_what_was_enqueued_is_a_result_that_is_ready(alias: str) -> None:
    result = double.using(backend=alias).enqueue(4)
    assert isinstance(result, CoreTaskResult)
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [4], {})
    assert [stored.id for stored in enqueued(alias)] == [result.id]


def test_on_our_backend_the_result_is_the_wider_one() -> None:
    result = double.enqueue(a=4)
    assert isinstance(result, TaskResult)
    assert (result.state, result.metadata) == (TaskStatus.PENDING, {"team": "a"})


def test_a_coroutine_enqueues_too(alias: str) -> None:
    result = asyncio.run(double.using(backend=alias).aenqueue(4))
    assert [stored.id for stored in enqueued(alias)] == [result.id]


def test_a_result_is_found_again_by_its_id(alias: str) -> None:
    mine = double.using(backend=alias)
    result = mine.enqueue(4)
    assert mine.get_result(result.id).id == asyncio.run(mine.aget_result(result.id)).id == result.id


def test_many_are_enqueued_in_order(alias: str) -> None:
    calls = [((n,), {}) for n in range(3)] + [((), {"a": 3})]
    results = double.using(backend=alias).enqueue_many(iter(calls))
    assert [result.args for result in results] == [[0], [1], [2], []]
    assert results[-1].kwargs == {"a": 3}
    assert [stored.id for stored in enqueued(alias)] == [result.id for result in results]


def test_many_are_enqueued_by_a_coroutine(alias: str) -> None:
    results = asyncio.run(double.using(backend=alias).aenqueue_many(((n,), {}) for n in range(3)))
    assert [stored.id for stored in enqueued(alias)] == [result.id for result in results]


def test_none_are_enqueued_where_there_are_none(alias: str) -> None:
    assert double.using(backend=alias).enqueue_many([]) == enqueued(alias) == []


def test_of_many_calls_one_that_cannot_be_stored_leaves_nothing_behind() -> None:
    with pytest.raises(SerializationFailed):
        double.enqueue_many([((1,), {}), ((datetime(2026, 1, 1),), {})])
    assert enqueued() == []


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"b": 2}), ((1,), {"a": 2})])
def test_arguments_that_do_not_fit_are_refused_at_the_door(args: Any, kwargs: Any) -> None:
    with pytest.raises(
        TypeError, match=r"tests\.doors_without_store\.double\(a: .*\) .* cannot be called with these arguments"
    ):
        double.enqueue(*args, **kwargs)
    with pytest.raises(TypeError, match=r"missing a required argument: 'a'\. It has no 'aa', 'c'\.$"):
        double.enqueue(aa=1, c=2)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'c'\.$"):
        double.enqueue(1, c=2)
    with pytest.raises(TypeError, match="cannot be called with"):
        double.enqueue_many([((1,), {}), (args, kwargs)])
    assert enqueued() == []


def test_arguments_that_json_cannot_hold_are_refused_at_the_door() -> None:
    with pytest.raises(SerializationFailed, match=r"tests\.doors_without_store\.double .* is a datetime"):
        double.enqueue(datetime(2026, 1, 1))
    assert enqueued() == []


def test_check_call_takes_what_the_function_takes() -> None:
    check_call(task(add), [1], {})
    check_call(task(add), [1], {"b": 2})
    check_call(task(takes_context=True)(tell), [], {"rows": 1})


@pytest.mark.parametrize(
    ("make", "args", "kwargs", "words"),
    [
        (lambda: task(add), [], {}, "missing a required argument: 'a'"),
        (lambda: task(add), [1, 2, 3], {}, "too many positional arguments"),
        (lambda: task(add), [1], {"c": 2}, "unexpected keyword argument 'c'"),
        (lambda: task(takes_context=True)(tell), [1], {"rows": 1}, "too many positional arguments"),
        (
            lambda: task(takes_context=True)(tell),
            [],
            {"rows": 1, "context": 1},
            "multiple values for argument 'context'",
        ),
    ],
)
def test_check_call_says_what_the_call_would(make: Any, args: list[Any], kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        check_call(make(), args, kwargs)


def _rest(a: int, *rest: int) -> None: ...


def _named(a: int, *, b: int = 0, **others: int) -> None: ...


def _named_required(a: int, *, b: int) -> None: ...


def _by_position(a: int, b: int = 0, /, c: int = 0) -> None: ...


def _nothing() -> None: ...


@pytest.mark.parametrize("func", [add, _rest, _named, _named_required, _by_position, _nothing])
@pytest.mark.parametrize("number", range(5))
def test_check_call_agrees_with_the_call(func: Any, number: int) -> None:
    args = [1] * number
    try:
        inspect.signature(func).bind(*args)
    except TypeError:
        with pytest.raises(TypeError, match="cannot be called with"):
            check_call(task(func), args, {})
    else:
        check_call(task(func), args, {})


# enqueue_on_commit()


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_on_commit_is_now(alias: str) -> None:
    double.using(backend=alias).enqueue_on_commit(4)
    assert [result.args for result in enqueued(alias)] == [[4]]


@pytest.mark.django_db(transaction=True)
def test_inside_of_a_transaction_on_commit_is_at_its_end(alias: str) -> None:
    with transaction.atomic():
        double.using(backend=alias).enqueue_on_commit(4)
        with transaction.atomic():
            double.using(backend=alias).enqueue_on_commit(a=5)
        assert enqueued(alias) == []
    assert [(result.args, result.kwargs) for result in enqueued(alias)] == [([4], {}), ([], {"a": 5})]


@pytest.mark.django_db(transaction=True)
def test_a_rollback_enqueues_nothing(alias: str) -> None:
    with transaction.atomic():
        double.using(backend=alias).enqueue_on_commit(1)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            double.using(backend=alias).enqueue_on_commit(2)
            raise ZeroDivisionError
    assert [result.args for result in enqueued(alias)] == [[1]]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        double.using(backend=alias).enqueue_on_commit(3)
        raise ZeroDivisionError
    assert len(enqueued(alias)) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_enqueued_at_the_commit_is_what_was_passed(alias: str) -> None:
    rows: dict[str, int] = {}
    with transaction.atomic():
        for number in (1, 2):
            rows["number"] = number
            total.using(backend=alias).enqueue_on_commit(rows)
            total.using(backend=alias).enqueue_on_commit(rows=rows)
        rows.clear()
    stored = [result.args or list(result.kwargs.values()) for result in enqueued(alias)]
    assert stored == [[{"number": 1}]] * 2 + [[{"number": 2}]] * 2


@pytest.mark.django_db
def test_the_database_whose_commit_counts_may_be_named(django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(using="default", execute=True) as callbacks:
        double.enqueue_on_commit(4, using="default")
        assert enqueued() == []
    assert len(callbacks) == 1
    assert [result.args for result in enqueued()] == [[4]]
    with pytest.raises(ConnectionDoesNotExist, match="nowhere"):
        double.enqueue_on_commit(4, using="nowhere")


@pytest.mark.django_db
def test_what_cannot_be_enqueued_is_told_before_the_commit(django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        with pytest.raises(SerializationFailed, match="is a set"):
            double.enqueue_on_commit({1})
        with pytest.raises(TypeError, match="missing a required argument"):
            double.enqueue_on_commit()
    assert callbacks == []


@pytest.mark.django_db
def test_a_key_that_cannot_be_made_is_told_before_the_commit(django_capture_on_commit_callbacks: Any) -> None:
    once = total.using(unique=Unique(key="{rows[number]}"))
    with django_capture_on_commit_callbacks() as callbacks, pytest.raises(TypeError, match="cannot be made of these"):
        once.enqueue_on_commit({})
    assert callbacks == []
