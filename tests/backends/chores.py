"""The tasks that the backends' tests enqueue. All are of the alias `default`: the tests say what that is."""

from __future__ import annotations

import threading
from typing import Any

import django
from django.utils.module_loading import import_string

from reinhardt_tasks import RetryStrategy, TaskContext, task

#: Django's own decorator, or the backport's.
core_task = import_string("django.tasks.task" if django.VERSION >= (6, 0) else "django_tasks.task")
#: Whether that decorator hands keywords that it does not know to the backend's task class.
CORE_TAKES_MORE = not (6, 0) <= django.VERSION < (6, 1)

#: What `note` was called with, in this process.
noted: list[Any] = []
#: `report` has told of its progress; it may end.
has_reported, may_end = threading.Event(), threading.Event()


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def aadd(a: int, b: int = 1) -> int:
    return a + b


@task
def note(value: Any, **more: Any) -> Any:
    noted.append((value, more) if more else value)
    return value


@task(max_attempts=1)
def fail(words: str = "no") -> None:
    raise ValueError(words)


@task(takes_context=True)
def report(context: TaskContext, total: int) -> str:
    """Tell that one of `total` is done, and wait until it may end."""
    context.metadata["step"] = "first"
    context.progress(1, total)
    has_reported.set()
    may_end.wait(60)
    context.metadata["step"] = "last"
    return context.task_result.id


@core_task
def multiply(a: int, b: int) -> int:
    return a * b


@core_task(takes_context=True, priority=7, queue_name="emails")
def number_of(context: TaskContext) -> int:
    return context.attempt


if CORE_TAKES_MORE:

    @core_task(max_attempts=2, backoff=RetryStrategy.fixed_delay(3600), timeout=5, metadata={"by": "core"})
    def divide(a: int, b: int) -> float:
        return a / b
