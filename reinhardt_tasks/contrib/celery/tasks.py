"""`shared_task`: a task of this package that answers to Celery's words too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ...tasks import Task
from .bound import Bound
from .options import RETRY_DELAY, call_options, task_options
from .results import AsyncResult

P = ParamSpec("P")
R = TypeVar("R")

#: Names of Celery's tasks that are refused → what to do.
_ELSEWHERE = {
    **dict.fromkeys(
        ("s", "si", "signature", "subtask", "chunks", "map", "starmap", "replace"),
        "chains and groups are built with TaskChain, group and step of reinhardt_tasks",
    ),
    "apply": "call the task, or run what was enqueued with reinhardt_tasks.testing",
    "update_state": "use get_current_context().progress(done, total)",
    "request": "bind=True gives the function self, and self.request",
    "run": "call the task",
    "app": "there is no Celery app",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTask(Task[P, R]):
    """A task that has what `@task` gives it, and what Celery's have. Made by `shared_task`."""

    #: Seconds until the next attempt, where `self.retry()` says none.
    default_retry_delay: float = RETRY_DELAY

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Enqueue the task."""
        return AsyncResult.of(self.enqueue(*args, **kwargs))

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Enqueue the task; `countdown`, `eta`, `queue` and `priority` are for this call. Raise TypeError for any other."""
        return AsyncResult.of(self.using(**call_options(options)).enqueue(*(args or ()), **(kwargs or {})))

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Enqueue the task when the caller's transaction commits."""
        self.enqueue_on_commit(*args, **kwargs)

    def apply_async_on_commit(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        """See apply_async() and delay_on_commit()."""
        self.using(**call_options(options)).enqueue_on_commit(*(args or ()), **(kwargs or {}))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here and now."""
        return self.func(None, *args, **kwargs) if self.takes_context else self.func(*args, **kwargs)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = f": {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
            raise AttributeError(f"{type(self).__name__} has no {name!r}{hint}.")


def shared_task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task, with Celery's words; with or without options.

    `name`, `bind`, `queue`, `max_retries`, `default_retry_delay`, `autoretry_for`, `dont_autoretry_for`, `retry_kwargs`,
    `retry_backoff`, `retry_backoff_max`, `retry_jitter`, `time_limit`, `soft_time_limit`, `rate_limit` are Celery's;
    `priority` is a TaskPriority, `backend` an alias in TASKS. Raise TypeError for what has no counterpart here.
    """
    translated = task_options(options)

    def decorate(func: Callable[..., Any]) -> SharedTask[Any, Any]:
        if inspect.iscoroutinefunction(func):
            raise TypeError(f"shared_task: {func.__qualname__} is a coroutine, which Celery has not: write @task.")
        if not translated["takes_context"]:
            return SharedTask(func=func, **translated)
        bound = _bound(func, lambda: made)
        made: SharedTask[Any, Any] = SharedTask(func=bound, **translated)
        return made

    return decorate if function is None else decorate(function)


def _bound(func: Callable[..., Any], task: Callable[[], SharedTask[Any, Any]]) -> Callable[..., Any]:
    """Return the function that takes our context, and gives `func` Celery's `self` in its place."""
    signature = inspect.signature(func)
    parameters = list(signature.parameters.values())
    if not parameters:
        raise TypeError(f"shared_task: {func.__qualname__} has bind=True, and no argument for self.")

    @functools.wraps(func)
    def run(context: Any, *args: Any, **kwargs: Any) -> Any:
        return func(Bound(task(), context), *args, **kwargs)

    # Under the name by which Django knows that a task takes its context.
    first = parameters[0].replace(name="context", annotation=inspect.Parameter.empty)
    run.__signature__ = signature.replace(parameters=[first, *parameters[1:]])  # type: ignore[attr-defined]
    return run
