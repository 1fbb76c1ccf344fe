"""`@task`: a function that can be enqueued. Django's Task with the options that Django itself proposes, and a few more."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
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
    InvalidTask,
    InvalidTaskBackend,
    TaskResultMismatch,
    task_backends,
)
from ._compat import TaskContext as CoreTaskContext
from .arguments import stored_call
from .jobs import Progress, TaskPriority
from .limits import (
    Concurrency,
    Debounce,
    RateLimit,
    Unique,
    check_key,
    read_concurrency,
    read_debounce,
    read_rate_limit,
    read_unique,
)
from .registry import registry
from .retries import Backoff, RetryStrategy
from .serialization import encode_call
from .speech import gettext as _
from .suggestions import no_backend

if TYPE_CHECKING:
    from .results import TaskResult

P = ParamSpec("P")
R = TypeVar("R")

#: One call of a task: its positional and its keyword arguments.
Call = tuple[Sequence[Any], Mapping[str, Any]]

#: Options that limit when a task runs → what reads them.
_LIMITS: dict[str, Callable[[Any], Any]] = {
    "unique": read_unique,
    "concurrency": read_concurrency,
    "rate_limit": read_rate_limit,
    "debounce": read_debounce,
}


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
        if isinstance(self.priority, TaskPriority):
            object.__setattr__(self, "priority", self.priority.django)
        # Django's own decorator hands them on as they were written.
        for name in ("retry_on", "give_up_on"):
            object.__setattr__(self, name, as_classes(getattr(self, name)))
        if isinstance(self.aliases, list):
            object.__setattr__(self, "aliases", tuple(self.aliases))
        if isinstance(self.redact, (list, set, frozenset)):
            object.__setattr__(self, "redact", tuple(self.redact))
        _check_options(self)
        for name, read in _LIMITS.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _read_limit(self, name, read, value))
        if self.debounce is not None and self.unique is not None:
            raise InvalidTask(
                f"Task {_place(self.func)}: debounce keeps one waiting task for each key by itself: leave unique out."
            )
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

        Arguments are checked now; a rollback enqueues nothing. The word `using` is taken: a task with an argument of
        that name is enqueued by `transaction.on_commit(lambda: …)`.
        """
        from django.db import transaction

        encode_call(self.module_path, *stored_call(self, args, kwargs), carriers.pack())
        check_call(self, args, kwargs)
        # Before the copy: a backend that the copy alone has would be another one.
        backend = self.get_backend()
        # What travels with the task is what was there when it was enqueued.
        now = copy_context()
        transaction.on_commit(functools.partial(now.run, backend.enqueue, self, args, kwargs), using=using)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(CoreTaskContext):
    """What a task with `takes_context=True` is given first: its result so far, its metadata, and ways to tell of progress."""

    #: Writes metadata and progress to the store; set by whoever runs the task.
    annotate: Callable[[dict[str, Any], Progress | None], None] | None = field(default=None, repr=False)
    #: Returns why the task was told to stop, or None; set by whoever runs the task.
    stopped_by: Callable[[], BaseException | None] = field(default=lambda: None, repr=False)
    #: The time for which a schedule has sent this task, in UTC; None where no schedule has.
    scheduled_for: datetime | None = None

    @property
    def cancel_requested(self) -> bool:
        """Whether the task was told to stop: somebody cancelled it, its time is over, or its worker lost it.

        The exception that says so is raised by itself where Python code runs; a task that waits in C code may ask here.
        """
        return self.stopped_by() is not None

    def heartbeat(self) -> None:
        """Raise TaskCancelled or TaskTimeout, if the task was told to stop. For long loops; nobody has to call it."""
        if (reason := self.stopped_by()) is not None:
            raise reason

    @property
    def metadata(self) -> dict[str, Any]:
        """The task's metadata. Changes are saved when the task finishes, or by `save_metadata()`."""
        metadata: dict[str, Any] = self.task_result.metadata
        return metadata

    def save_metadata(self) -> None:
        """Save the metadata now, for others to see."""
        self._write()

    async def asave_metadata(self) -> None:
        """See save_metadata()."""
        from asgiref.sync import sync_to_async

        await sync_to_async(self._write)()

    def progress(self, done: float, total: float, message: str | None = None) -> None:
        """Tell that `done` of `total` are done, and what is being done; `result.progress` shows it.

        A message longer than `Progress.MESSAGE_LIMIT` letters is cut.
        """
        object.__setattr__(self.task_result, "progress", Progress(done, total, message))
        self._write()

    async def aprogress(self, done: float, total: float, message: str | None = None) -> None:
        """See progress()."""
        object.__setattr__(self.task_result, "progress", Progress(done, total, message))
        await self.asave_metadata()

    def _write(self) -> None:
        if self.annotate is not None:
            self.annotate(self.metadata, self.task_result.progress)


_current: ContextVar[TaskContext | None] = ContextVar("reinhardt_tasks_context", default=None)


def get_current_context() -> TaskContext | None:
    """Return the context of the task that runs here, at any depth of its calls; None outside of tasks.

    Code that the task runs in threads of its own has none, unless the task copies it there (`contextvars.copy_context`).
    """
    return _current.get()


@contextmanager
def in_context(context: TaskContext) -> Iterator[None]:
    """Let `get_current_context` return `context` while this lasts."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def check_call(task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError, as the call itself would, where the arguments do not fit the task's function."""
    if task.takes_context:
        args = (None, *args)
    if not kwargs and len(args) in _numbers_of_arguments(task.func):
        return
    signature = _signature(task.func)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as exc:
        words = _("{task}{signature} cannot be called with these arguments: {reason}.")
        # Python tells of one problem only; that an argument is missing is often that another is misspelt.
        unknown = [name for name in _unknown(signature, kwargs) if repr(name) not in str(exc)]
        more = " " + _("It has no {names}.").format(names=", ".join(map(repr, unknown))) if unknown else ""
        raise TypeError(words.format(task=task.module_path, signature=signature, reason=exc) + more) from None


def _unknown(signature: inspect.Signature, kwargs: Mapping[str, Any]) -> list[str]:
    parameters = signature.parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return []
    return [name for name in kwargs if name not in signature.parameters]


@functools.cache
def _signature(func: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(func)


@functools.cache
def _numbers_of_arguments(func: Callable[..., Any]) -> range:
    """Return how many arguments a function takes where none has a name: most calls are checked by that alone."""
    parameters = _signature(func).parameters.values()
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return range(0)
    required = sum(each.default is each.empty for each in by_position)
    has_rest = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return range(required, sys.maxsize if has_rest else len(by_position) + 1)


def _read_limit(task: Task[Any, Any], name: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        limit = read(value)
        if limit is not None:
            check_key(limit.key, task.func, takes_context=task.takes_context)
    except (ValueError, TypeError) as exc:
        raise InvalidTask(f"Task {_place(task.func)}: {name}={value!r}: {exc}.") from exc
    return limit


def _place(func: Any) -> str:
    return str(getattr(func, "__qualname__", repr(func)))


def _check_options(task: Task[Any, Any]) -> None:
    place = _place(task.func)
    problems = {
        "max_attempts must be a whole number from 1 on": task.max_attempts is not None
        and (isinstance(task.max_attempts, bool) or not isinstance(task.max_attempts, int) or task.max_attempts < 1),
        "backoff must be callable: (exception, task_result) -> seconds": task.backoff is not None
        and not callable(task.backoff),
        "timeout must be a number of seconds above 0": task.timeout is not None
        and (isinstance(task.timeout, bool) or not isinstance(task.timeout, (int, float)) or not task.timeout > 0),
        "retry_on must be a tuple of exception classes": not _are_exceptions(task.retry_on),
        "give_up_on must be a tuple of exception classes": not _are_exceptions(task.give_up_on),
        "atomic is for ordinary functions: a coroutine cannot hold a transaction of Django": task.atomic
        and inspect.iscoroutinefunction(task.func),
        "aliases must be a sequence of names, each with its module: ['shop.jobs.send']": not _are_paths(task.aliases),
        "on_missing must be 'fail' or 'skip'": task.on_missing not in ("fail", "skip"),
        "run_after must be a datetime": not isinstance(task.run_after, (datetime, type(None))),
        "priority must be a whole number or a TaskPriority": isinstance(task.priority, bool)
        or not isinstance(task.priority, (int, float)),
    }
    for problem, found in problems.items():
        if found:
            raise InvalidTask(f"Task {place}: {problem}.")
    _check_redact(task, place)


def _check_redact(task: Task[Any, Any], place: str) -> None:
    """Raise InvalidTask where `redact` names what is no parameter: what it was to hide would be seen by everybody."""
    if task.redact is True or not task.redact:
        return
    if not isinstance(task.redact, tuple) or not all(isinstance(name, str) for name in task.redact):
        raise InvalidTask(f"Task {place}: redact must be a list of parameters' names, or True for all.")
    parameters = _signature(task.func).parameters.values()
    names = [parameter.name for parameter in parameters][task.takes_context :]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    for name in task.redact:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(names) or 'none'}."
            raise InvalidTask(f"Task {place}: redact names {name!r}, which is no parameter of it. {hint}")


def _are_paths(names: Any) -> bool:
    return isinstance(names, tuple) and all(isinstance(name, str) and "." in name for name in names)


def _are_exceptions(classes: Any) -> bool:
    return isinstance(classes, tuple) and all(isinstance(c, type) and issubclass(c, BaseException) for c in classes)


def as_classes(classes: Any) -> Any:
    """Let one exception class, or any sequence of them, stand where a tuple is kept."""
    if isinstance(classes, type):
        return (classes,)
    return tuple(classes) if isinstance(classes, (list, set, frozenset)) else classes


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
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" Known are {', '.join(sorted(known))}."
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


__all__ = ["Call", "Task", "TaskContext", "TaskResultMismatch", "check_call", "get_current_context", "task"]
