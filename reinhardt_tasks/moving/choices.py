"""What whoever moves in has to say, since no table tells it: new names, where tasks go, which priority comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import TaskNotFound
from ..redaction import may_hide
from ..registry import registry
from .findings import refused

#: The numbers that a priority of Celery can begin with: 9 on RabbitMQ, where the highest runs first, 0 on Redis.
FIRST_PRIORITIES = (9, 0)
_HIGHEST = 9


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The flags of `manage.py tasks import`."""

    #: A task's (or a function's) name there → the task's name here.
    renames: Mapping[str, str] = field(default_factory=dict)
    #: A queue's (or a cluster's) name there → a queue's name here.
    queues: Mapping[str, str] = field(default_factory=dict)
    #: The alias of TASKS to which tasks go; None leaves that to each task.
    backend: str | None = None
    #: Whether schedules come switched off.
    is_off: bool = False
    #: Which of Celery's priorities runs first there: 9 or 0; None where nobody said.
    first_priority: int | None = None
    #: The moment that decides what is over.
    now: datetime = field(default_factory=timezone.now)

    def task(self, name: str) -> str:
        """Return the name under which a task is registered here. Raise NotTaken where there is none."""
        name = self.renames.get(name, name)
        try:
            return registry.get(name).module_path
        except TaskNotFound as exc:
            raise refused(_("{problem} Another name here: --rename {name}=…").format(problem=exc, name=name)) from exc

    def hides(self, name: str) -> bool:
        """Return whether nobody is to see arguments of this task: it redacts some, or is not known here."""
        return may_hide(self.renames.get(name, name))

    def queue(self, name: str | None) -> str | None:
        return self.queues.get(name, name) if name else None

    def priority(self, number: int | None) -> int | None:
        """Return one of Celery's priorities on Django's scale. 0, which it takes where nobody says any, stays 0."""
        if number is None:
            return None
        if self.first_priority is None:
            raise refused(
                _(
                    "It has priority {number}, and no table tells whether a high number runs first there: say "
                    "--first-priority 9 (RabbitMQ) or --first-priority 0 (Redis)."
                ).format(number=number)
            )
        step = round(min(number, _HIGHEST) * 100 / _HIGHEST)
        return step if self.first_priority == _HIGHEST else -step
