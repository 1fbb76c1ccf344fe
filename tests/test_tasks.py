"""`@task` and what it makes: options, copies, enqueueing by one, by many and on commit, and passage through pickle."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from django.db.utils import ConnectionDoesNotExist
from django.utils import timezone

from reinhardt_tasks._compat import (
    BaseTaskBackend,
    CoreTask,
    InvalidTask,
    InvalidTaskBackend,
    TaskResultStatus,
    task_backends,
)
from reinhardt_tasks._compat import TaskResult as CoreTaskResult
from reinhardt_tasks.exceptions import DuplicateTask, SerializationFailed
from reinhardt_tasks.jobs import Progress, TaskPriority, TaskStatus
from reinhardt_tasks.registry import registry
from reinhardt_tasks.results import TaskResult
from reinhardt_tasks.retries import RetryStrategy
from reinhardt_tasks.tasks import Task, TaskContext, check_call, task

OURS = "reinhardt_tasks.backends.DummyBackend"
#: Django's own dummy, or the backport's: a backend that knows nothing of us.
FOREIGN = BaseTaskBackend.__module__.removesuffix(".base") + ".dummy.DummyBackend"


@pytest.fixture(autouse=True)
def aliases(settings: Any) -> None:
    settings.TASKS = {
        "default": {"BACKEND": OURS, "QUEUES": ["default", "emails"]},
        "foreign": {"BACKEND": FOREIGN, "QUEUES": ["default", "emails"]},
    }


@pytest.fixture(params=["default", "foreign"])
def alias(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def names() -> Iterator[None]:
    """Take what the test registers out of the registry again."""
    before = set(registry.list())
    yield
    for name in set(registry.list()) - before:
        registry.unregister(name)


def enqueued(alias: str = "default") -> list[Any]:
    return list(task_backends[alias].results)


def add(a: int, b: int = 1) -> int:
    return a + b


async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def tell(context: TaskContext, *, rows: int) -> int:
    return rows


def no_context(rows: int) -> int:
    return rows


def wait_longer(exception: BaseException, result: Any) -> int:
    return 60


@task(max_attempts=2, backoff=RetryStrategy.fixed_delay(5), retry_on=OSError, timeout=3, metadata={"team": "a"})
def double(a: int) -> int:
    """Return twice `a`."""
    return 2 * a


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
    assert (made.name, made.module_path) == ("add", f"{__name__}.add")
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
    assert registry.get(f"{__name__}.double") is double
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
    assert not registry.has(f"{__name__}.no_context")


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
    with pytest.raises(InvalidTaskBackend, match=r"no backend 'defualt'\. Did you mean 'default'\?"):
        task(backend="defualt")(add)
    with pytest.raises(InvalidTaskBackend, match=r"no backend 'zzz'\. It has 'default', 'foreign'"):
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
    with pytest.raises(InvalidTaskBackend):
        double.using(backend="nowhere")


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
        TypeError, match=r"tests\.test_tasks\.double\(a: .*\) .* cannot be called with what was enqueued"
    ):
        double.enqueue(*args, **kwargs)
    with pytest.raises(TypeError, match="cannot be called with"):
        double.enqueue_many([((1,), {}), (args, kwargs)])
    assert enqueued() == []


def test_arguments_that_json_cannot_hold_are_refused_at_the_door() -> None:
    with pytest.raises(SerializationFailed, match=r"tests\.test_tasks\.double .* is a datetime"):
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
    with pytest.raises(ValueError, match=r"Expected 'tests\.test_tasks\.add' to point to a Task instance"):
        pickle.loads(undecorated)


def test_a_result_goes_through_pickle(alias: str) -> None:
    result = double.using(backend=alias).enqueue(4)
    copied = pickle.loads(pickle.dumps(result))
    assert type(copied) is type(result)
    assert copied == result
    assert (copied.id, copied.args, copied.task) == (result.id, [4], result.task)


# TaskContext


def a_context(annotate: Any = None) -> TaskContext:
    return TaskContext(task_result=double.enqueue(4), annotate=annotate)


def test_a_context_shows_and_saves_the_metadata() -> None:
    written: list[Any] = []
    context = a_context(lambda metadata, progress: written.append((dict(metadata), progress)))
    assert context.metadata == {"team": "a"}
    context.metadata["row"] = 7
    assert written == []
    context.save_metadata()
    assert written == [({"team": "a", "row": 7}, None)]


def test_a_context_tells_of_progress() -> None:
    written: list[Any] = []
    context = a_context(lambda metadata, progress: written.append((dict(metadata), progress)))
    context.progress(1, 3)
    assert context.task_result.progress == (1, 3)
    asyncio.run(context.aprogress(2, 3))
    asyncio.run(context.asave_metadata())
    assert [progress for _, progress in written] == [(1, 3), (2, 3), (2, 3)]


def test_progress_is_a_pair_with_a_message_beside_it() -> None:
    context = a_context()
    context.progress(1, 3, "Fetching")
    progress = context.task_result.progress
    done, total = progress
    assert (done, total) == (progress.done, progress.total) == (1, 3)
    assert progress.message == "Fetching"
    asyncio.run(context.aprogress(2, 3, message=7))
    assert context.task_result.progress.message == "7"
    context.progress(3, 3)
    assert context.task_result.progress.message is None


def test_progress_is_copied_and_pickled_with_its_message() -> None:
    progress = Progress(1, 3, "Fetching")
    for copied in (pickle.loads(pickle.dumps(progress)), copy.deepcopy(progress)):
        assert (type(copied), copied, copied.message) == (Progress, (1, 3), "Fetching")


def test_a_long_message_is_cut() -> None:
    message = Progress(1, 3, "🚆" * 201).message
    assert message == "🚆" * (Progress.MESSAGE_LIMIT - 1) + "…"
    assert Progress(1, 3, "🚆" * 200).message == "🚆" * 200


def test_a_context_that_nobody_listens_to_is_no_error() -> None:
    context = a_context()
    context.progress(1, 3)
    context.save_metadata()
    assert context.task_result.progress == (1, 3)
