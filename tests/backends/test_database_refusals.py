"""What the database backend refuses to store, in the caller's face, with nothing left behind."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from reinhardt_tasks._compat import InvalidTask
from reinhardt_tasks.backends import DatabaseBackend
from reinhardt_tasks.exceptions import SerializationFailed
from reinhardt_tasks.models import JobRow

from .chores import add, note
from .database_doors import BACKEND, number_seen_by_others, sqlite_backend
from .working import work_off

__all__ = ["sqlite_backend"]


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


@pytest.mark.parametrize("queue", ["", "cut \ud83d", "\x00"])
def test_a_queue_that_cannot_be_is_refused_where_any_queue_will_do(
    queue: str, sqlite_database: str, settings: Any
) -> None:
    settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"DATABASE": sqlite_database}}}
    with pytest.raises(InvalidTask, match="A queue's name is a text without NUL and halves of surrogate pairs"):
        add.using(queue_name=queue)


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
