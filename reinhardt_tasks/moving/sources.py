"""The systems that can be moved from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from django.apps import apps
from django.db import Error as DatabaseError
from django.utils.translation import gettext as _

from ..exceptions import OperationRefused, QueueError
from . import celery_beat, django_q, tasks_db
from .choices import Choices
from .findings import Found
from .schedules import import_schedules


@dataclass(frozen=True)
class Source:
    """One system: the label of its app, and what brings over what lies there."""

    name: str
    app_label: str
    #: `(choices, is_rehearsal)`; see bring().
    finds: Callable[[Choices, bool], Iterator[Found]]

    @property
    def is_installed(self) -> bool:
        return any(config.label == self.app_label for config in apps.get_app_configs())

    def bring(self, choices: Choices, *, is_rehearsal: bool) -> Iterator[Found]:
        """Yield what becomes of each thing that is found; write it, unless it is a rehearsal. Raise QueueError."""
        try:
            yield from self.finds(choices, is_rehearsal)
        except DatabaseError as exc:
            raise QueueError(
                _("The tables of {name}, or those of the schedules here, could not be used: {problem}").format(
                    name=self.name, problem=exc
                )
            ) from exc


def _celery_beat(choices: Choices, is_rehearsal: bool) -> Iterator[Found]:
    return import_schedules("celery-beat", celery_beat.read(choices), choices, is_rehearsal=is_rehearsal)


def _django_q(choices: Choices, is_rehearsal: bool) -> Iterator[Found]:
    return import_schedules("django-q2", django_q.read(choices), choices, is_rehearsal=is_rehearsal)


def _tasks_db(choices: Choices, is_rehearsal: bool) -> Iterator[Found]:
    return tasks_db.import_tasks("django-tasks-db", choices, is_rehearsal=is_rehearsal)


#: Name → source, in the order in which they are asked.
SOURCES = {
    source.name: source
    for source in (
        Source("celery-beat", celery_beat.APP, _celery_beat),
        Source("django-q2", django_q.APP, _django_q),
        Source("django-tasks-db", tasks_db.APP, _tasks_db),
    )
}


def chosen_sources(names: Sequence[str] | None = None) -> list[Source]:
    """Return the sources of these names; all whose app is installed, where none are named. Raise OperationRefused."""
    if names:
        chosen = [SOURCES[name] for name in names]
        for source in chosen:
            if not source.is_installed:
                raise OperationRefused(
                    _(
                        "{name} is not installed: its app is not in INSTALLED_APPS, so its tables cannot be read."
                    ).format(name=source.name)
                )
        return chosen
    found = [source for source in SOURCES.values() if source.is_installed]
    if not found:
        raise OperationRefused(
            _("There is nothing to import from: none of {names} is in INSTALLED_APPS.").format(names=", ".join(SOURCES))
        )
    return found
