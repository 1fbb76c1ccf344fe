from __future__ import annotations

from typing import Any

import pytest

from reinhardt_tasks import operations
from reinhardt_tasks.backends.named import backend_named
from reinhardt_tasks.exceptions import OperationRefused

MODULE = "reinhardt_tasks.backends"


def test_a_backend_that_keeps_tasks_is_given() -> None:
    assert backend_named("default").alias == "default"


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ({}, r"TASKS has no backend 'mine': it is empty\. Write TASKS = \{'default'"),
        (
            {"mien": {"BACKEND": f"{MODULE}.DummyBackend"}},
            r"has no backend 'mine' \(did you mean 'mien'\?\); it has 'mien'\.",
        ),
        ({"mine": {"BACKEND": f"{MODULE}.NoBackend"}}, "Could not find backend"),
        ({"mine": {"OPTIONS": {}}}, r"TASKS\['mine'\] must be a dictionary whose 'BACKEND' is the path of a class\."),
        ({"mine": "x"}, r"TASKS\['mine'\] must be a dictionary"),
        ({"mine": {"BACKEND": f"{MODULE}.DummyBackend"}}, "DummyBackend, which keeps no tasks"),
        (
            {"mine": {"BACKEND": f"{MODULE}.RedisBackend", "OPTIONS": {"URL": 7}}},
            r"TASKS\['mine'\]\['OPTIONS'\]\['URL'\]",
        ),
    ],
)
def test_why_there_is_none_is_said(tasks: dict[str, Any], words: str, settings: Any) -> None:
    settings.TASKS = tasks
    with pytest.raises(OperationRefused, match=words):
        backend_named("mine")


def test_a_backend_of_somebody_else_is_refused(settings: Any) -> None:
    from reinhardt_tasks._compat import BaseTaskBackend

    other = f"{BaseTaskBackend.__module__.rpartition('.')[0]}.dummy.DummyBackend"
    settings.TASKS = {"mine": {"BACKEND": other}}
    with pytest.raises(OperationRefused, match=r"is .*\.dummy\.DummyBackend, which is not of reinhardt_tasks"):
        backend_named("mine")


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("broken", [{"OPTIONS": {}}, "x", {"BACKEND": "nope.Nope"}])
def test_a_broken_alias_hides_no_other(settings: Any, broken: Any) -> None:
    settings.TASKS = {**settings.TASKS, "broken": broken}
    assert "broken" not in {store.alias for store in operations.stores()}
    told = {each.alias: each for each in operations.overview()}
    assert told["broken"].error and not told["default"].error


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("broken", [{"OPTIONS": {}}, "x", {"BACKEND": "nope.Nope"}])
def test_a_broken_default_is_told_and_hides_no_other(settings: Any, broken: Any) -> None:
    settings.TASKS = {"other": settings.TASKS["default"], "default": broken}
    assert [store.alias for store in operations.stores()] == ["other"]
    told = {each.alias: each for each in operations.overview()}
    assert told["default"].error and not told["other"].error
