"""The one place that knows which task API this Django has: its own (6.0 and later) or the `django-tasks` backport.

Nothing else imports either, so that no name of one is ever mixed with a name of the other: their classes are different
objects even where both are installed. Not public: import the public names from `reinhardt_tasks`.
"""

from __future__ import annotations

from typing import Any

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

if django.VERSION >= (6, 0):
    from django.tasks import (
        DEFAULT_TASK_BACKEND_ALIAS,
        DEFAULT_TASK_QUEUE_NAME,
        TaskContext,
        TaskResult,
        TaskResultStatus,
        task_backends,
    )
    from django.tasks import Task as CoreTask
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import (
        DEFAULT_TASK_PRIORITY,
        TASK_MAX_PRIORITY,
        TASK_MIN_PRIORITY,
        TASK_REFRESH_ATTRS,
        TaskError,
    )
    from django.tasks.exceptions import (
        InvalidTask,
        InvalidTaskBackend,
        TaskException,
        TaskResultDoesNotExist,
        TaskResultMismatch,
    )
    from django.tasks.signals import task_enqueued, task_finished, task_started

    TASKS_APP: str | None = None

else:
    try:
        import django_tasks as _backport
    except ImportError as exc:
        raise ImproperlyConfigured(
            f"Django {django.get_version()} has no task API of its own (Django 6.0 has): install its backport with "
            "`pip install 'django-tasks>=0.12'`, or this package with its extra `django52`."
        ) from exc

    from django_tasks.base import (
        DEFAULT_TASK_PRIORITY,
        TASK_MAX_PRIORITY,
        TASK_MIN_PRIORITY,
        TASK_REFRESH_ATTRS,
        TaskError,
    )
    from django_tasks.base import Task as CoreTask
    from django_tasks.exceptions import InvalidTaskBackendError as InvalidTaskBackend
    from django_tasks.exceptions import InvalidTaskError as InvalidTask
    from django_tasks.exceptions import TaskException, TaskResultDoesNotExist, TaskResultMismatch
    from django_tasks.signals import task_enqueued, task_finished, task_started

    BaseTaskBackend = _backport.BaseTaskBackend
    DEFAULT_TASK_BACKEND_ALIAS = _backport.DEFAULT_TASK_BACKEND_ALIAS
    DEFAULT_TASK_QUEUE_NAME = _backport.DEFAULT_TASK_QUEUE_NAME
    TaskContext = _backport.TaskContext
    TaskResult = _backport.TaskResult
    TaskResultStatus = _backport.TaskResultStatus
    task_backends = _backport.task_backends

    TASKS_APP = "django_tasks"

__all__ = [
    "DEFAULT_TASK_BACKEND_ALIAS",
    "DEFAULT_TASK_PRIORITY",
    "DEFAULT_TASK_QUEUE_NAME",
    "TASKS_APP",
    "TASK_MAX_PRIORITY",
    "TASK_MIN_PRIORITY",
    "TASK_REFRESH_ATTRS",
    "BaseTaskBackend",
    "CoreTask",
    "InvalidTask",
    "InvalidTaskBackend",
    "TaskContext",
    "TaskError",
    "TaskException",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultMismatch",
    "TaskResultStatus",
    "djangos_check",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]


def djangos_check() -> Any:
    """Return the system check that Django, or the backport's app where it is installed, registers; else None."""
    if TASKS_APP is None:
        from django.tasks.checks import check_tasks
    elif apps.is_installed(TASKS_APP):
        from django_tasks.checks import check_tasks
    else:
        return None
    return check_tasks
