"""`@task`: a function that can be enqueued. Django's Task with the options that Django itself proposes, and a few more."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import copy_context
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from django.utils import timezone
from django.utils.module_loading import import_string

from . import carriers
from ._compat import (
    DEFAULT_TASK_BACKEND_ALIAS,
    DEFAULT_TASK_PRIORITY,
    DEFAULT_TASK_QUEUE_NAME,
    CoreTask,
    InvalidTaskBackend,
    task_backends,
)
from .arguments import stored_call
from .calls import Call, check_call
from .jobs import TaskPriority
from .limits import Concurrency, Debounce, RateLimit, Unique
from .registry import registry
from .retries import Backoff, RetryStrategy
from .serialization import encode_call
from .suggestions import nearest, no_backend
from .task_options import read_task_options

if TYPE_CHECKING:
    from .results import TaskResult

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(CoreTask, Generic[P, R]):  # type: ignore[misc, unused-ignore]
    """A function with what a worker has to know about running it. Made by `@task`; copies are made by `using()`."""

    # Django 6.0 has no defaults for these.
    priority: int = DEFAULT_TASK_PRIORITY
    backend: str = DEFAULT_TASK_BACKEND_ALIAS
    queue_name: str = DEFAULT_TASK_QUEUE_NAME
    run_after: datetime | None = None

    #: How often it is tried in all; None leaves that to the backoff's strategy, the queue and the backend, in this order.
    max_attempts: int | None = None
    #: `(exception, task_result) -> seconds | timedelta | None`; None ends the retries. A RetryStrategy is one.
    backoff: Backoff | None = None
    #: Exceptions after which it is tried again (empty: all), and those after which it is not.
    retry_on: tuple[type[BaseException], ...] = ()
    give_up_on: tuple[type[BaseException], ...] = ()
    #: Seconds that one attempt may take; None leaves it to the backend.
    timeout: float | None = None
    #: The body and the record of its success commit in one transaction (database backends, ordinary functions).
    atomic: bool = False
    #: Limits, see limits.py; as they are written (True, 3, "100/m", 5.0) or as the classes there, which they become.
    unique: Unique | None = None
    concurrency: Concurrency | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    #: Names that it had before: what was enqueued under them, by code that is not replaced yet too, is run by it.
    aliases: tuple[str, ...] = ()
    #: Parameters whose arguments nobody is shown, or True for all of them: see `redaction`.
    redact: tuple[str, ...] | bool = ()
    #: What becomes of it where a model instance among its arguments is gone when it runs: "fail" for good, or "skip".
    on_missing: str = "fail"
    #: Kept with the task and given to it as `context.metadata`.
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)

    # Zero-argument super() does not work in a dataclass with slots, which is made anew by its decorator.

    def __post_init__(self) -> None:
        read_task_options(self)
        _check_as_django_does(self)
        registry.register(self)
        for alias in self.aliases:
            registry.register(self, alias)

    @classmethod
    def _reconstruct(cls, values: dict[str, Any]) -> Task[Any, Any]:
        path = values["func"]
        try:
            return cls(**{**values, "func": import_string(path).func})
        except (ImportError, AttributeError) as exc:
            raise ValueError(f"Expected {path!r} to point to a Task instance.") from exc

    def __reduce__(self) -> Any:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return (type(self)._reconstruct, ({**values, "func": self.module_path},))

    def using(
        self,
        *,
        priority: int | TaskPriority | None = None,
        queue_name: str | None = None,
        run_after: datetime | timedelta | None = None,
        backend: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        unique: bool | str | Unique | None = None,
        concurrency: int | Concurrency | None = None,
        rate_limit: str | RateLimit | None = None,
        debounce: float | timedelta | Debounce | None = None,
    ) -> Task[P, R]:
        """Return a copy with other defaults. `run_after` is a moment, or a timedelta from now; False lifts a limit.

        `timeout` is in seconds. Raise InvalidTask for a value that cannot be, or a queue that the backend does not have.
        """
        if isinstance(run_after, timedelta):
            run_after = timezone.now() + run_after
        changes: dict[str, Any] = {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
            "metadata": None if metadata is None else dict(metadata),
            "max_attempts": max_attempts,
            "timeout": timeout,
            "unique": unique,
            "concurrency": concurrency,
            "rate_limit": rate_limit,
            "debounce": debounce,
        }
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    if TYPE_CHECKING:

        def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]: ...

        async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]: ...

        def get_result(self, result_id: str) -> TaskResult[R]: ...

        async def aget_result(self, result_id: str) -> TaskResult[R]: ...

        def call(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

        async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def enqueue_many(self, calls: Iterable[Call]) -> list[TaskResult[R]]:
        """Enqueue one task for each `(args, kwargs)`, all or none, in one round trip; return their results in order."""
        backend = self.get_backend()
        if hasattr(backend, "enqueue_many"):
            results: list[TaskResult[R]] = backend.enqueue_many(self, list(calls))
            return results
        return [backend.enqueue(self, list(args), dict(kwargs)) for args, kwargs in calls]

    async def aenqueue_many(self, calls: Iterable[Call]) -> list[TaskResult[R]]:
        """See enqueue_many()."""
        backend = self.get_backend()
        if hasattr(backend, "aenqueue_many"):
            results: list[TaskResult[R]] = await backend.aenqueue_many(self, list(calls))
            return results
        return [await backend.aenqueue(self, list(args), dict(kwargs)) for args, kwargs in calls]

    # What has the task's own parameters can have no other beside them: with `using` the arguments are not seen.
    @overload
    def enqueue_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> None: ...

    @overload
    def enqueue_on_commit(self, *args: Any, using: str | None, **kwargs: Any) -> None: ...

    def enqueue_on_commit(self, *args: Any, using: str | None = None, **kwargs: Any) -> None:  # type: ignore[misc]
        """Enqueue when the current transaction of the database `using` commits (at once outside of one).

        Arguments are checked now, and sent as they are now; a rollback enqueues nothing. The word `using` is taken: a task
        with an argument of that name is enqueued by `transaction.on_commit(lambda: …)`.
        """
        from django.db import transaction

        send = self._prepared(args, kwargs)
        # What travels with the task is what was there when it was enqueued.
        now = copy_context()
        transaction.on_commit(functools.partial(now.run, send), using=using)

    def _prepared(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Callable[[], Any]:
        """Return what enqueues this call, whatever becomes of its arguments. Raise what `enqueue` raises for bad ones."""
        backend = self.get_backend()
        if hasattr(backend, "jobs_of"):
            with carriers.enqueueing(self, 1):
                return functools.partial(backend.send, self, backend.jobs_of(self, [(args, kwargs)]))
        encode_call(self.module_path, *stored_call(self, args, kwargs), carriers.pack())
        check_call(self, args, kwargs)
        return functools.partial(backend.enqueue, self, *deepcopy((args, kwargs)))


@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(*, takes_context: Literal[True], **options: Any) -> ContextTaskDecorator: ...


@overload
def task(
    *,
    takes_context: Literal[False] = False,
    priority: int | TaskPriority = 0,
    queue_name: str = DEFAULT_TASK_QUEUE_NAME,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    max_attempts: int | None = None,
    backoff: Backoff | RetryStrategy | None = None,
    retry_on: type[BaseException] | Sequence[type[BaseException]] = (),
    give_up_on: type[BaseException] | Sequence[type[BaseException]] = (),
    timeout: float | None = None,
    atomic: bool = False,
    metadata: Mapping[str, Any] | None = None,
    aliases: Sequence[str] = (),
    redact: Sequence[str] | bool = (),
    unique: bool | str | Unique | None = None,
    concurrency: int | Concurrency | None = None,
    rate_limit: str | RateLimit | None = None,
    debounce: float | timedelta | Debounce | None = None,
    on_missing: Literal["fail", "skip"] = "fail",
) -> TaskDecorator: ...


def task(function: Any = None, /, **options: Any) -> Any:
    """Make a module-level function, ordinary or `async`, a task; with or without options.

    `priority` (−100 to 100, or a TaskPriority), `queue_name`, `backend`, `takes_context` as in Django; `max_attempts`,
    `backoff`, `timeout` (seconds), `retry_on`, `give_up_on`, `atomic`, `metadata`, `aliases`, `redact`, `unique`,
    `concurrency`, `rate_limit`, `debounce`, `on_missing`: see `Task`. Raises InvalidTask for what cannot be a task,
    DuplicateTask for a name that another function has, TypeError for an unknown option.
    """
    if "run_after" in options:
        raise TypeError("run_after cannot be set by @task: it is a moment of one call. Use .using(run_after=…).")
    known = {item.name for item in fields(Task)} - {"func", "run_after"}
    for name in options.keys() - known:
        near = nearest(name, known)
        hint = f" Did you mean {near!r}?" if near else f" Known are {', '.join(sorted(known))}."
        raise TypeError(f"@task has no option {name!r}.{hint}")

    def decorate(func: Callable[..., Any]) -> Task[Any, Any]:
        return Task(func=func, **{**options, "metadata": dict(options.get("metadata") or {})})

    return decorate if function is None else decorate(function)


def _check_as_django_does(task: Task[Any, Any]) -> None:
    try:
        CoreTask.__post_init__(task)
    except (InvalidTaskBackend, KeyError, TypeError) as exc:
        if task.backend in task_backends.settings:
            from .aliases import what_breaks

            if (problem := what_breaks(task.backend)) is None:
                raise
            raise InvalidTaskBackend(f"{problem.message} {problem.hint}") from exc
        # After Django's own words, which somebody may look for.
        raise InvalidTaskBackend(f"{exc} {no_backend(task.backend, list(task_backends.settings))}") from exc


if TYPE_CHECKING:

    class ContextTaskDecorator:
        """What `@task(takes_context=True, …)` gives: it takes the context off the signature."""

        @overload
        def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...

        @overload
        def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...

        def __call__(self, function: Any, /) -> Any: ...

    class TaskDecorator:
        """What `@task(…)` gives otherwise. What a coroutine function returns is what it returns when awaited."""

        @overload
        def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...

        @overload
        def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...

        def __call__(self, function: Any, /) -> Any: ...
