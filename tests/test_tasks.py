"""`@task` and what it makes: options, copies, and passage through pickle."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from reinhardt_tasks._compat import CoreTask, InvalidTask, InvalidTaskBackend
from reinhardt_tasks.exceptions import DuplicateTask
from reinhardt_tasks.jobs import TaskPriority
from reinhardt_tasks.registry import registry
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.tasks import Task, task

from .doors_without_store import add, add_later, alias, aliases, double, no_context, tell

__all__ = ["alias", "aliases"]


@pytest.fixture
def names() -> Iterator[None]:
    """Take what the test registers out of the registry again."""
    before = set(registry.list())
    yield
    for name in set(registry.list()) - before:
        registry.unregister(name)


def wait_longer(exception: BaseException, result: Any) -> int:
    return 60


class Shop:
    def method(self) -> None: ...

    @staticmethod
    def static() -> None: ...


# The decorator


def test_a_bare_decorator_makes_a_task_with_the_defaults() -> None:
    made = task(add)
    assert isinstance(made, Task)
    assert isinstance(made, CoreTask)
    assert made.func is add
    assert (made.name, made.module_path) == ("add", "tests.doors_without_store.add")
    assert (made.priority, made.queue_name, made.backend) == (0, "default", "default")
    assert (made.run_after, made.takes_context, made.atomic) == (None, False, False)
    assert (made.max_attempts, made.backoff, made.timeout, made.metadata) == (None, None, None, {})
    assert (made.retry_on, made.give_up_on) == ((), ())


def test_a_decorator_with_empty_parentheses_does_the_same() -> None:
    assert task()(add) == task(add)


def test_options_are_the_tasks_own() -> None:
    backoff = RetryStrategy.exponential_backoff(max_retries=7)
    made = task(
        priority=50,
        queue_name="emails",
        max_attempts=5,
        backoff=backoff,
        retry_on=(OSError, ValueError),
        give_up_on=[FileNotFoundError],
        timeout=30,
        atomic=True,
        metadata={"team": "shop"},
    )(add)
    assert (made.priority, made.queue_name, made.max_attempts, made.timeout) == (50, "emails", 5, 30)
    assert made.backoff is backoff
    assert (made.retry_on, made.give_up_on) == ((OSError, ValueError), (FileNotFoundError,))
    assert (made.atomic, made.metadata) == (True, {"team": "shop"})


def test_a_single_exception_may_stand_for_a_tuple_of_one() -> None:
    made = task(retry_on=OSError, give_up_on=FileNotFoundError)(add)
    assert (made.retry_on, made.give_up_on) == ((OSError,), (FileNotFoundError,))


def test_a_task_is_called_like_its_function() -> None:
    assert task(add).call(1, b=2) == 3
    assert asyncio.run(task(add_later).acall(1, b=2)) == 3


def test_ordinary_and_coroutine_functions_are_called_from_either_side() -> None:
    assert task(add_later).call(1, 2) == 3
    assert asyncio.run(task(add).acall(1, 2)) == 3


def test_the_decorator_registers_the_task() -> None:
    assert registry.get("tests.doors_without_store.double") is double
    assert double.call(4) == 8


def test_two_functions_under_one_name_are_refused(names: None) -> None:
    found = []
    for line in ("def f(): ...", "\n\ndef f(): ..."):
        space: dict[str, Any] = {"__name__": "shop.tasks"}
        exec(compile(line, "shop/tasks.py", "exec"), space)
        found.append(space["f"])
    first = task(found[0])
    with pytest.raises(DuplicateTask, match=r"'shop\.tasks\.f': shop/tasks\.py:1 and shop/tasks\.py:3"):
        task(found[1])
    assert registry.get("shop.tasks.f") is first


def test_one_function_may_be_made_a_task_twice() -> None:
    assert task(priority=1)(add).func is task(priority=2)(add).func


@pytest.mark.parametrize(
    "func",
    [lambda: None, Shop, Shop().method, len, "add", None, SimpleNamespace()],
    ids=["lambda", "class", "method", "builtin", "text", "None", "object"],
)
def test_only_functions_of_a_module_can_be_tasks(func: Any) -> None:
    with pytest.raises(InvalidTask, match="module level"):
        task()(func)


def test_a_function_inside_a_function_is_no_task() -> None:
    def inner() -> None: ...

    with pytest.raises(InvalidTask, match="module level"):
        task(inner)
    assert not any("inner" in name for name in registry.list())


def test_a_refused_function_is_not_registered() -> None:
    with pytest.raises(InvalidTask):
        task(max_attempts=0)(no_context)
    assert not registry.has("tests.doors_without_store.no_context")


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"@task has no option 'max_attempt'\. Did you mean 'max_attempts'\?"):
        task(max_attempt=3)
    with pytest.raises(TypeError, match=r"no option 'zzz'\. Known are aliases, atomic, .*, unique\."):
        task(zzz=3)
    with pytest.raises(TypeError, match="no option 'func'"):
        task(func=add)


def test_a_moment_is_no_option_of_the_decorator() -> None:
    with pytest.raises(TypeError, match=r"run_after cannot be set by @task.*\.using\(run_after="):
        task(run_after=timezone.now())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_attempts": 0}, "max_attempts must be a whole number from 1 on"),
        ({"max_attempts": 2.0}, "max_attempts must be"),
        ({"max_attempts": True}, "max_attempts must be"),
        ({"backoff": 5}, "backoff must be callable"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0"),
        ({"timeout": -1}, "timeout must be"),
        ({"timeout": "1"}, "timeout must be"),
        ({"timeout": float("nan")}, "timeout must be"),
        ({"retry_on": "OSError"}, "retry_on must be a tuple of exception classes"),
        ({"retry_on": (OSError())}, "retry_on must be"),
        ({"give_up_on": (int,)}, "give_up_on must be a tuple of exception classes"),
        ({"priority": "high"}, "priority must be a whole number or a TaskPriority"),
        ({"priority": True}, "priority must be"),
        ({"priority": None}, "priority must be"),
    ],
    ids=str,
)
def test_a_bad_value_is_refused_where_it_is_written(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidTask, match=f"Task add: {words}"):
        task(**options)(add)


@pytest.mark.parametrize("priority", [101, -101, 0.5])
def test_a_priority_keeps_to_djangos_range(priority: Any) -> None:
    with pytest.raises(InvalidTask, match="-100 and 100"):
        task(priority=priority)(add)


def test_a_priority_of_our_scale_is_laid_over_djangos() -> None:
    assert [task(priority=TaskPriority(n))(add).priority for n in (0, 5, 9)] == [-100, 0, 100]
    assert task(add).using(priority=TaskPriority(9)).priority == 100
    # A plain number is Django's.
    assert task(priority=9)(add).priority == 9


def test_atomic_is_for_ordinary_functions() -> None:
    with pytest.raises(InvalidTask, match="add_later: atomic is for ordinary functions"):
        task(atomic=True)(add_later)


def test_an_unknown_queue_or_backend_is_refused_with_its_name() -> None:
    with pytest.raises(InvalidTask, match="emial"):
        task(queue_name="emial")(add)
    with pytest.raises(InvalidTaskBackend, match=r"no backend 'defualt' \(did you mean 'default'\?\)"):
        task(backend="defualt")(add)
    with pytest.raises(InvalidTaskBackend, match=r"no backend 'zzz'; it has 'default', 'foreign'"):
        task(backend="zzz")(add)


def test_a_task_may_take_its_context() -> None:
    made = task(takes_context=True)(tell)
    assert made.takes_context
    assert made.call(None, rows=2) == 2
    with pytest.raises(InvalidTask, match="context"):
        task(takes_context=True)(no_context)


def test_the_metadata_is_a_copy_of_what_was_given() -> None:
    given = {"team": "shop"}
    made = task(metadata=given)(add)
    given["team"] = "other"
    assert made.metadata == {"team": "shop"}


def test_a_task_is_a_value_that_does_not_change() -> None:
    with pytest.raises(AttributeError):
        double.priority = 5  # type: ignore[misc]
    assert hash(double) == hash(double.using())
    assert double == double.using() != double.using(priority=1)


# using()


def test_using_gives_a_changed_copy(alias: str) -> None:
    moment = timezone.now() + timedelta(hours=1)
    changed = double.using(priority=7, queue_name="emails", run_after=moment, backend=alias, metadata={"b": 2})
    assert (changed.priority, changed.queue_name, changed.run_after) == (7, "emails", moment)
    assert (changed.backend, changed.metadata) == (alias, {"b": 2})
    assert (changed.func, changed.max_attempts, changed.timeout) == (double.func, 2, 3)
    assert (double.priority, double.queue_name, double.run_after) == (0, "default", None)
    assert double.metadata == {"team": "a"}
    assert registry.get(double.module_path) is double


def test_using_nothing_changes_nothing() -> None:
    assert double.using() == double


@pytest.mark.parametrize("use_tz", [True, False])
def test_run_after_may_be_a_time_from_now(use_tz: bool, settings: Any) -> None:
    settings.USE_TZ = use_tz
    before = timezone.now() + timedelta(minutes=5)
    changed = double.using(run_after=timedelta(minutes=5))
    assert changed.run_after is not None
    assert timezone.is_aware(changed.run_after) is use_tz
    assert before <= changed.run_after <= timezone.now() + timedelta(minutes=5)


def test_a_bad_moment_is_refused() -> None:
    with pytest.raises(InvalidTask, match="run_after must be a datetime"):
        double.using(run_after=60)  # type: ignore[arg-type]
    with pytest.raises(InvalidTask, match="aware"):
        double.using(run_after=datetime(2030, 1, 1))


def test_a_copy_is_checked_like_its_original() -> None:
    for changes in ({"priority": 101}, {"queue_name": "emial"}):
        with pytest.raises(InvalidTask):
            double.using(**changes)
    with pytest.raises(InvalidTaskBackend, match=r"TASKS has no backend 'defualt' \(did you mean 'default'\?\)"):
        double.using(backend="defualt")


def test_settings_without_any_backend_are_told_what_to_have(settings: Any) -> None:
    settings.TASKS = {}
    with pytest.raises(InvalidTaskBackend, match=r"it is empty\. Write TASKS = \{'default'"):
        double.using(priority=1)


@pytest.mark.parametrize(
    ("alias", "words"),
    [
        ({}, r"TASKS\['default'\] must be a dictionary whose 'BACKEND' is.*Write it as"),
        ({"BACKEND": "reinhardt_tasks.backends.RedysBackend"}, r"Could not find backend.*did you mean.*RedisBackend"),
    ],
)
def test_an_alias_without_a_backend_is_told_with_a_way_out(settings: Any, alias: Any, words: str) -> None:
    settings.TASKS = {"default": alias}
    with pytest.raises(InvalidTaskBackend, match=words):
        double.using(priority=1)


# Pickling and copying


def test_a_task_goes_through_pickle_with_all_its_options() -> None:
    mine = double.using(priority=7, queue_name="emails", run_after=datetime(2030, 1, 1, tzinfo=UTC), metadata={"b": 2})
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        copied = pickle.loads(pickle.dumps(mine, protocol))
        assert type(copied) is Task
        assert copied == mine
        assert copied.func is double.func
    assert copied.metadata == {"b": 2}


def test_a_task_with_a_function_as_its_backoff_pickles() -> None:
    mine = Task(func=double.func, backoff=wait_longer)
    assert pickle.loads(pickle.dumps(mine)).backoff is wait_longer


def test_a_copy_of_a_task_is_equal_to_it() -> None:
    assert copy.copy(double) == copy.deepcopy(double) == double


def test_what_is_no_task_where_it_was_pickled_from_is_an_error_that_says_so() -> None:
    undecorated = pickle.dumps(task(add))
    with pytest.raises(ValueError, match=r"Expected 'tests\.doors_without_store\.add' to point to a Task instance"):
        pickle.loads(undecorated)


def test_a_result_goes_through_pickle(alias: str) -> None:
    result = double.using(backend=alias).enqueue(4)
    copied = pickle.loads(pickle.dumps(result))
    assert type(copied) is type(result)
    assert copied == result
    assert (copied.id, copied.args, copied.task) == (result.id, [4], result.task)
