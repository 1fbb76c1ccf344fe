"""What code and settings declare, taken together: each name once."""

from __future__ import annotations

from collections.abc import Mapping

from .._compat import task_backends
from ..aliases import what_breaks
from ..options import Problem
from ..schedules import Declaration, ScheduleRegistry, declared, declared_in_settings
from ..speech import gettext as _


def collect(registry: ScheduleRegistry = declared) -> tuple[list[Declaration], list[Problem]]:
    """Return what code and settings declare, and what is wrong with what cannot be, and with aliases without a backend.

    What the settings of such an alias declare is not known.
    """
    found = {declaration.name: declaration for declaration in registry}
    problems: list[Problem] = []
    for alias in task_backends.settings if isinstance(task_backends.settings, Mapping) else ():
        if (broken := what_breaks(alias)) is not None:
            problems.append(broken)
            continue
        given = getattr(getattr(task_backends[alias], "settings", None), "schedules", None) or {}
        declarations, sentences = declared_in_settings(alias, given)
        problems += [Problem("E030", words, _("Correct the entry in your settings.")) for words in sentences]
        for declaration in declarations:
            if (other := found.setdefault(declaration.name, declaration)) is not declaration:
                problems.append(
                    Problem(
                        "E031",
                        _("{where} has {name}, which {other} has too.").format(
                            where=f"TASKS[{alias!r}]['OPTIONS']['SCHEDULES']",
                            name=repr(declaration.name),
                            other=other.source,
                        ),
                        _("Rename one of them."),
                    )
                )
    return list(found.values()), problems
