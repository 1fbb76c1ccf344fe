"""An alias of `TASKS` of which no backend can be made: said by `manage.py check` and, where that comes too late, by `@task`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from ._compat import task_backends
from .options import Problem
from .speech import gettext as _
from .suggestions import did_you_mean

_HERE = "reinhardt_tasks.backends"
_OURS = [f"{_HERE}.{kind}Backend" for kind in ("Database", "Redis", "Immediate", "Dummy")]


def what_breaks(alias: str) -> Problem | None:
    """Return why no backend can be made of an alias that is in TASKS, or None where one can."""
    params = task_backends.settings[alias]
    if not isinstance(params, Mapping) or not isinstance(params.get("BACKEND"), str):
        return Problem(
            "E006",
            # Not what it is: a password may stand in it.
            _("TASKS[{alias}] must be a dictionary whose 'BACKEND' is the path of a class.").format(alias=repr(alias)),
            _("Write it as {example}.").format(example={"BACKEND": f"{_HERE}.DatabaseBackend"}),
        )
    try:
        task_backends[alias]
    except ImproperlyConfigured as exc:
        message = _("TASKS[{alias}]: {exc}").format(alias=repr(alias), exc=f"{str(exc).rstrip('.')}.")
        return Problem("E007", message, _way_out(params["BACKEND"], exc))
    return None


def backend_or_none(alias: str) -> Any:
    """Return a backend; None where TASKS has none of that name (any more), or none can be made of what it has."""
    settings = task_backends.settings
    is_there = isinstance(settings, Mapping) and alias in settings
    return task_backends[alias] if is_there and what_breaks(alias) is None else None


def _way_out(path: str, exc: ImproperlyConfigured) -> str:
    cause = exc.__cause__
    library = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
    if library and library != path.partition(".")[0]:
        return _("Install the library: pip install {library}.").format(library=library)
    return _("Correct its 'BACKEND'{near}.").format(near=did_you_mean(path, _OURS))
