"""The system checks of this app. Django's own task check calls each backend's `check()`; these are what it does not reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.conf import global_settings, settings
from django.core import checks

from ._compat import TASKS_APP, task_backends
from .exceptions import QueueError


@checks.register
def check_backends(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check the backends on a Django whose own check for it is an app that is not installed."""
    if TASKS_APP is None or apps.is_installed(TASKS_APP):
        return []
    messages: list[checks.CheckMessage] = []
    for backend in task_backends.all():
        messages += backend.check()
    return messages


@checks.register
def check_shape(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check that TASKS is there at all."""
    tasks = getattr(settings, "TASKS", None)
    # What Django takes where a project says nothing is no choice of the project's.
    if tasks and tasks is not getattr(global_settings, "TASKS", None):
        return []
    return [
        checks.Warning(
            "The app reinhardt_tasks is installed, and TASKS names no backend: tasks run at once, in the request.",
            hint="Set TASKS = {'default': {'BACKEND': 'reinhardt_tasks.backends.DatabaseBackend'}}.",
            id="reinhardt_tasks.W004",
        )
    ]


@checks.register(deploy=True)
def check_stores(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Ask the stores that are no databases how they are set up; with `check --deploy`, since it needs them to be there."""
    from .backends.base import ReinhardtBackend

    messages: list[checks.CheckMessage] = []
    for backend in task_backends.all():
        if not isinstance(backend, ReinhardtBackend) or backend.problems:
            continue
        try:
            found = backend.broker.advice()
        except NotImplementedError:
            continue
        except QueueError as exc:
            messages.append(
                checks.Warning(
                    f"TASKS[{backend.alias!r}] could not be asked how it is set up: {exc}",
                    hint="Start it, or see that this machine reaches it.",
                    id="reinhardt_tasks.W007",
                )
            )
            continue
        for advice in found:
            kind = checks.Error if advice.code.startswith("E") else checks.Warning
            messages.append(kind(advice.message, hint=advice.hint, id=f"reinhardt_tasks.{advice.code}"))
    return messages


@checks.register(checks.Tags.database)
def check_databases(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Ask the databases that `check --database` names."""
    from .backends import DatabaseBackend
    from .backends.databases import server_messages

    messages: list[checks.CheckMessage] = []
    for backend in task_backends.all():
        if isinstance(backend, DatabaseBackend) and backend.database in (databases or ()):
            messages += server_messages(backend.alias, backend.database)
    return messages
