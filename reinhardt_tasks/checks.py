"""The system checks of this app, and Django's own task check in a form that bears an alias of which no backend can be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import global_settings, settings
from django.core import checks
from django.utils.translation import gettext as _

from ._compat import BaseTaskBackend, djangos_check, task_backends
from .aliases import what_breaks
from .exceptions import InvalidSchedule, QueueError
from .registry import registry
from .schedules.declarations import Declaration, check_arguments
from .suggestions import did_you_mean


@checks.register
def check_backends(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check every backend of `TASKS`, this package's or not, as Django's own check does."""
    messages: list[checks.CheckMessage] = []
    for alias in _aliases():
        if (problem := what_breaks(alias)) is not None:
            messages.append(_error(problem.code, problem.message, problem.hint))
        else:
            messages += task_backends[alias].check()
    return messages


# That one ends in a traceback at the first alias of which no backend can be made.
checks.registry.registry.registered_checks.discard(djangos_check())


@checks.register
def check_shape(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check that TASKS is there at all."""
    tasks = getattr(settings, "TASKS", None)
    hint = _("Set TASKS = {'default': {'BACKEND': 'reinhardt_tasks.backends.DatabaseBackend'}}.")
    if tasks is not None and not isinstance(tasks, Mapping):
        return [_error("E006", _("TASKS must be a dictionary of aliases."), hint)]
    # What Django takes where a project says nothing is no choice of the project's.
    if tasks and tasks is not getattr(global_settings, "TASKS", None):
        return []
    return [
        checks.Warning(
            _("The app reinhardt_tasks is installed, and TASKS names no backend: tasks run at once, in the request.")
            if task_backends.settings
            else _("The app reinhardt_tasks is installed, and TASKS is empty: no task can be declared."),
            hint=hint,
            id="reinhardt_tasks.W004",
        )
    ]


@checks.register
def check_schedules(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check what code and settings declare to run by the clock, as far as no database has to be asked."""
    from .scheduling.collecting import collect

    declarations, problems = collect()
    # Of aliases without a backend, which are among these, `check_backends` tells.
    messages = [_error(each.code, each.message, each.hint) for each in problems if each.code in ("E030", "E031")]
    for declaration in declarations:
        messages += _schedule_messages(declaration)
    return messages


def _schedule_messages(declaration: Declaration) -> list[checks.CheckMessage]:
    name = declaration.name
    if not registry.has(declaration.task):
        near = did_you_mean(declaration.task, registry.list())
        hint = _("Write its module and its function, as in 'shop.tasks.close'; the module is imported at start.")
        return [
            _error(
                "E032",
                _("Schedule {name} names the task {task}, which is not there{near}.").format(
                    name=repr(name), task=repr(declaration.task), near=near
                ),
                hint,
            )
        ]
    task = registry.get(declaration.task)
    try:
        check_arguments(declaration, task)
    except InvalidSchedule as exc:
        return [_error("E033", str(exc), _("Correct its args and kwargs."))]
    alias = declaration.backend or task.backend
    if alias not in task_backends.settings:
        near = did_you_mean(alias, task_backends.settings)
        return [
            _error(
                "E034",
                _("Schedule {name} names the backend {alias}, which TASKS lacks{near}.").format(
                    name=repr(name), alias=repr(alias), near=near
                ),
                _("Name one of TASKS."),
            )
        ]
    if what_breaks(alias) is not None:
        return []
    queues = task_backends[alias].queues
    queue = declaration.queue_name or task.queue_name
    if queues and queue not in queues:
        near = did_you_mean(queue, queues)
        return [
            _error(
                "E034",
                _("Schedule {name} names the queue {queue}, which is not in TASKS[{alias}]['QUEUES']{near}.").format(
                    name=repr(name), queue=repr(queue), alias=repr(alias), near=near
                ),
                _("Add it there, or name another one."),
            )
        ]
    return []


def _aliases() -> list[str]:
    return list(task_backends.settings) if isinstance(task_backends.settings, Mapping) else []


def _backends() -> list[BaseTaskBackend]:
    """Return those that can be made; `check_backends` tells of the others."""
    return [task_backends[alias] for alias in _aliases() if what_breaks(alias) is None]


def _error(code: str, message: str, hint: str) -> checks.CheckMessage:
    return checks.Error(message, hint=hint, id=f"reinhardt_tasks.{code}")


@checks.register(deploy=True)
def check_stores(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Ask the stores that are no databases how they are set up; with `check --deploy`, since it needs them to be there."""
    from .backends.base import ReinhardtBackend

    messages: list[checks.CheckMessage] = []
    for backend in _backends():
        if not isinstance(backend, ReinhardtBackend) or backend.problems:
            continue
        try:
            found = backend.broker.advice()
        except NotImplementedError:
            continue
        except QueueError as exc:
            messages.append(
                checks.Warning(
                    _("TASKS[{alias}] could not be asked how it is set up: {exc}").format(
                        alias=repr(backend.alias), exc=exc
                    ),
                    hint=_("Start it, or see that this machine reaches it."),
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
    for backend in _backends():
        if isinstance(backend, DatabaseBackend) and backend.database in (databases or ()):
            messages += server_messages(backend.alias, backend.database)
    return messages
