"""What the options of `@task` may be: read as they are written, and refused with a sentence where they cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ._compat import InvalidTask
from .calls import call_parameters, takes_any_name
from .jobs import TaskPriority
from .limits import check_key, read_concurrency, read_debounce, read_rate_limit, read_unique
from .suggestions import nearest

if TYPE_CHECKING:
    from .tasks import Task

#: Options that limit when a task runs → what reads them.
_LIMITS: dict[str, Callable[[Any], Any]] = {
    "unique": read_unique,
    "concurrency": read_concurrency,
    "rate_limit": read_rate_limit,
    "debounce": read_debounce,
}


def read_task_options(task: Task[Any, Any]) -> None:
    """Read a new task's options as they were written into what they mean. Raise InvalidTask for what cannot be one."""
    if isinstance(task.priority, TaskPriority):
        object.__setattr__(task, "priority", task.priority.django)
    # Django's own decorator hands them on as they were written.
    for name in ("retry_on", "give_up_on"):
        object.__setattr__(task, name, as_classes(getattr(task, name)))
    if isinstance(task.aliases, list):
        object.__setattr__(task, "aliases", tuple(task.aliases))
    if isinstance(task.redact, (list, set, frozenset)):
        object.__setattr__(task, "redact", tuple(task.redact))
    _check_options(task)
    for name, read in _LIMITS.items():
        if (value := getattr(task, name)) is not None:
            object.__setattr__(task, name, _read_limit(task, name, read, value))
    if task.debounce is not None and task.unique is not None:
        raise InvalidTask(
            f"Task {_place(task.func)}: debounce keeps one waiting task for each key by itself: leave unique out."
        )


def _read_limit(task: Task[Any, Any], name: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        limit = read(value)
        if limit is not None:
            check_key(limit.key, task)
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
    parameters = call_parameters(task)
    if takes_any_name(parameters):
        return
    names = [parameter.name for parameter in parameters]
    for name in task.redact:
        if name not in names:
            near = nearest(name, names)
            hint = f"Did you mean {near!r}?" if near else f"It has {', '.join(names) or 'none'}."
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
