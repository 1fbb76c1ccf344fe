"""The registry: names lead to tasks, one function a name, and a wrong name is answered with the nearest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from reinhardt_tasks.exceptions import DuplicateTask, TaskNotFound
from reinhardt_tasks.registry import TaskRegistry
from reinhardt_tasks.registry import registry as the_registry


def add(a: int, b: int) -> int:
    return a + b


def subtract(a: int, b: int) -> int:
    return a - b


def a_task(func: Callable[..., Any] = add, path: str = "shop.tasks.add") -> Any:
    """Return as much of a task as the registry looks at."""
    return SimpleNamespace(func=func, module_path=path)


@pytest.fixture
def registry() -> TaskRegistry:
    return TaskRegistry()


def test_a_task_is_found_under_its_module_path(registry: TaskRegistry) -> None:
    task = a_task()
    registry.register(task)
    assert registry.get("shop.tasks.add") is task
    assert registry.has("shop.tasks.add")
    assert not registry.has("add")


def test_a_renamed_task_keeps_its_old_name_as_an_alias(registry: TaskRegistry) -> None:
    task = a_task()
    registry.register(task)
    registry.register(task, "shop.jobs.sum")
    assert registry.get("shop.jobs.sum") is registry.get("shop.tasks.add") is task


def test_names_are_listed_in_order(registry: TaskRegistry) -> None:
    for path in ("b.tasks.x", "a.tasks.y", "a.tasks.x"):
        registry.register(a_task(path=path))
    assert registry.list() == ["a.tasks.x", "a.tasks.y", "b.tasks.x"]


def test_a_copy_of_a_task_may_be_registered_and_the_first_stays(registry: TaskRegistry) -> None:
    first = a_task()
    registry.register(first)
    registry.register(a_task())
    assert registry.get("shop.tasks.add") is first


def test_a_reloaded_module_may_register_its_functions_again(registry: TaskRegistry) -> None:
    namespaces: list[dict[str, Any]] = [{}, {}]
    for namespace in namespaces:
        exec(compile("def add(a, b): return a + b", "shop/tasks.py", "exec"), namespace)
        registry.register(a_task(namespace["add"]))
    assert registry.list() == ["shop.tasks.add"]


def test_two_functions_under_one_name_are_an_error_that_shows_both_places(registry: TaskRegistry) -> None:
    registry.register(a_task(add))
    with pytest.raises(DuplicateTask, match="'shop.tasks.add'") as caught:
        registry.register(a_task(subtract))
    for func in (add, subtract):
        assert f"{__file__}:{func.__code__.co_firstlineno}" in str(caught.value)
    assert "Rename" in str(caught.value)
    assert registry.get("shop.tasks.add").func is add


def test_an_alias_is_a_name_like_any_other(registry: TaskRegistry) -> None:
    registry.register(a_task(add))
    with pytest.raises(DuplicateTask):
        registry.register(a_task(subtract, "shop.tasks.subtract"), "shop.tasks.add")


def test_an_unknown_name_is_answered_with_the_nearest(registry: TaskRegistry) -> None:
    registry.register(a_task())
    with pytest.raises(TaskNotFound, match=r"'shop\.tasks\.ad'.*Did you mean 'shop\.tasks\.add'\?.*@task"):
        registry.get("shop.tasks.ad")
    with pytest.raises(TaskNotFound, match="'zzz'.*@task") as caught:
        registry.get("zzz")
    assert "Did you mean" not in str(caught.value)


def test_a_name_is_never_imported(registry: TaskRegistry) -> None:
    with pytest.raises(TaskNotFound):
        registry.get(f"{__name__}.add")


def test_a_task_can_be_forgotten_once(registry: TaskRegistry) -> None:
    registry.register(a_task())
    registry.unregister("shop.tasks.add")
    assert not registry.has("shop.tasks.add")
    with pytest.raises(TaskNotFound, match=r"shop\.tasks\.add"):
        registry.unregister("shop.tasks.add")
    registry.register(a_task(subtract))
    assert registry.get("shop.tasks.add").func is subtract


def test_clear_forgets_everything(registry: TaskRegistry) -> None:
    registry.register(a_task())
    registry.clear()
    assert registry.list() == []


def test_registries_are_apart(registry: TaskRegistry) -> None:
    registry.register(a_task())
    assert not the_registry.has("shop.tasks.add")


def test_of_threads_that_register_one_name_exactly_one_wins(registry: TaskRegistry) -> None:
    def make(number: int) -> Any:
        namespace: dict[str, Any] = {}
        exec(compile("def add(): ...", f"shop/tasks_{number}.py", "exec"), namespace)
        return a_task(namespace["add"])

    tasks = [make(number) for number in range(16)]
    refused: list[Any] = []
    start = threading.Barrier(len(tasks))

    def register(task: Any) -> None:
        start.wait()
        try:
            registry.register(task)
        except DuplicateTask:
            refused.append(task)

    threads = [threading.Thread(target=register, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 15
    assert registry.get("shop.tasks.add") not in refused
