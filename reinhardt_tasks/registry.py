"""Name → task. A worker runs what is registered here and nothing else: it never imports what a message names."""

from __future__ import annotations

import builtins
import inspect
import threading
from dataclasses import fields
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from .exceptions import DuplicateTask, TaskNotFound
from .speech import gettext as _
from .suggestions import nearest

if TYPE_CHECKING:
    from ._compat import CoreTask
    from .jobs import Job


class TaskRegistry:
    """Tasks by their names. Safe with threads."""

    def __init__(self) -> None:
        self._tasks: dict[str, CoreTask] = {}
        self._lock = threading.Lock()

    def register(self, task: CoreTask, name: str | None = None) -> None:
        """Register `task` under its module path (or `name`).

        Registering one function again is no error: `task.using(…)` makes copies, and a module may be reloaded. Two
        functions under one name raise DuplicateTask, which names both places.
        """
        name = name or task.module_path
        with self._lock:
            known = self._tasks.setdefault(name, task)
        if known.func is task.func or _place(known.func) == _place(task.func):
            return
        raise DuplicateTask(
            f"Two tasks are called {name!r}: {_place(known.func)} and {_place(task.func)}. Rename one of the functions."
        )

    def unregister(self, name: str) -> None:
        """Forget a task. Raise TaskNotFound for a name that is not registered."""
        with self._lock:
            if self._tasks.pop(name, None) is None:
                raise TaskNotFound(self._unknown(name))

    def get(self, name: str) -> CoreTask:
        """Return a task. Raise TaskNotFound, with the nearest known name, for one that is not registered."""
        try:
            return self._tasks[name]
        except KeyError:
            raise TaskNotFound(self._unknown(name)) from None

    def has(self, name: str) -> bool:
        """Return whether a task is registered under this name."""
        return name in self._tasks

    def is_async(self, name: str) -> bool:
        """Return whether a task is a coroutine function; False for a name that is not registered."""
        task = self._tasks.get(name)
        return task is not None and iscoroutinefunction(task.func)

    def list(self) -> builtins.list[str]:
        """Return the names of all tasks, sorted."""
        return sorted(self._tasks)

    def clear(self) -> None:
        """Forget all tasks. For tests: a worker that knows no names puts everything back."""
        with self._lock:
            self._tasks.clear()

    def _unknown(self, name: str) -> str:
        near = nearest(name, self.list())
        sentences = [
            _("No task is registered as {name}.").format(name=repr(name)),
            _("Did you mean {near}?").format(near=repr(near)) if near else "",
            _(
                "A task is a function with @task in a module that is imported at start, as an installed app's `tasks` "
                "module is."
            ),
        ]
        return " ".join(filter(None, sentences))


def _place(func: Any) -> str:
    # What wraps a function stands in another file.
    code = getattr(inspect.unwrap(func), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(func)


#: The registry that `@task` fills.
registry = TaskRegistry()


def task_of(job: Job) -> CoreTask:
    """Return the registered task of a job, as it was enqueued. Raise TaskNotFound for a name that is not registered."""
    task = registry.get(job.name)
    same = (task.priority, task.queue_name, task.run_after, task.backend)
    if same == (job.priority, job.queue, job.run_after, job.backend):
        return task
    own = {"priority": job.priority, "queue_name": job.queue, "run_after": job.run_after, "backend": job.backend}
    # Not by using(), which checks: the settings may have moved on, and a queue that was may be no more. The function still is.
    as_enqueued: CoreTask = object.__new__(type(task))
    for item in fields(task):
        object.__setattr__(as_enqueued, item.name, own.get(item.name, getattr(task, item.name)))
    return as_enqueued
