"""A backend by its alias, for those who work on what it keeps: workers, `taskhealth`, `manage.py tasks`, the admin."""

from __future__ import annotations

from django.utils.translation import gettext as _

from .._compat import task_backends
from ..aliases import what_breaks
from ..exceptions import OperationRefused
from ..suggestions import no_backend
from .base import ReinhardtBackend


def backend_named(alias: str) -> ReinhardtBackend:
    """Return the backend of this alias. Raise OperationRefused where there is none that keeps tasks, and say why."""
    if alias not in task_backends.settings:
        raise OperationRefused(no_backend(alias, list(task_backends.settings)))
    if (problem := what_breaks(alias)) is not None:
        raise OperationRefused(f"{problem.message} {problem.hint}")
    backend = task_backends[alias]
    if not isinstance(backend, ReinhardtBackend):
        raise OperationRefused(
            _("TASKS[{alias}] is {module}.{qualname}, which is not of reinhardt_tasks.").format(
                alias=repr(alias), module=type(backend).__module__, qualname=type(backend).__qualname__
            )
        )
    if backend.problems:
        raise OperationRefused(f"{backend.problems[0].message} {backend.problems[0].hint}")
    try:
        backend.broker  # noqa: B018
    except NotImplementedError as exc:
        raise OperationRefused(
            _("TASKS[{alias}] is {kind}, which keeps no tasks: there is nothing that a worker could run.").format(
                alias=repr(alias), kind=type(backend).__name__
            )
        ) from exc
    return backend
