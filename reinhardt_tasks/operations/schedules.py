"""What is done to a schedule, by the name that a button and a subcommand share. `scheduling.people` does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from .._compat import CoreTask
from ..exceptions import InvalidSchedule, OperationRefused, TaskNotFound
from ..redaction import ShownCall, redacted_call, refuse_placeholders, restored_call, secret_places
from ..registry import registry
from ..schedules import At, CronSchedule, IntervalSchedule
from ..scheduling import people
from ..scheduling.databases import schedules_database
from .stores import as_queue_error


@dataclass(frozen=True, kw_only=True)
class ScheduleAction:
    """Something that can be done to one schedule, whatever its state."""

    name: str
    help: str | Promise
    #: What happened, for a history: in English, translated for whoever reads it.
    done: str
    #: The same for whoever did it, with places for `name` and `task`.
    said: str | Promise
    destroys: bool = False
    #: Does it to the schedule of a name, and returns the id of the task that it enqueued, if any. Raises InvalidSchedule.
    does: Callable[[str], str | None]


def _on(name: str) -> None:
    people.switch(name, True)


def _off(name: str) -> None:
    people.switch(name, False)


SCHEDULE_ACTIONS = {
    action.name: action
    for action in (
        ScheduleAction(
            name="on",
            help=gettext_lazy("Switch schedules on. What came due while they were off is not run."),
            done=gettext_noop("Switched on."),
            said=gettext_lazy("Schedule {name} is on."),
            does=_on,
        ),
        ScheduleAction(
            name="off",
            help=gettext_lazy("Switch schedules off."),
            done=gettext_noop("Switched off."),
            said=gettext_lazy("Schedule {name} is off."),
            does=_off,
        ),
        ScheduleAction(
            name="run-now",
            help=gettext_lazy("Enqueue the tasks of schedules once, beside their times."),
            done=gettext_noop("Run now."),
            said=gettext_lazy("Schedule {name}: enqueued as task {task}."),
            does=people.run_now,
        ),
        ScheduleAction(
            name="delete",
            help=gettext_lazy("Delete schedules that are people's, or are not declared any more."),
            done=gettext_noop("Deleted."),
            said=gettext_lazy("Schedule {name} was deleted."),
            destroys=True,
            does=people.delete,
        ),
    )
}


def reading_schedules() -> AbstractContextManager[None]:
    """Raise QueueError from what is done in it where the schedules cannot be read."""
    return as_queue_error(
        gettext_lazy("The schedules in the database {database} cannot be read: {reason}"), schedules_database()
    )


def schedule_by(
    *,
    cron: str | None = None,
    seconds: bool = False,
    tz: str | None = None,
    every: timedelta | None = None,
    at: datetime | None = None,
) -> CronSchedule | IntervalSchedule | At:
    """Return the schedule of the one of these that is given. Raise InvalidSchedule where it makes no times."""
    if sum(value is not None for value in (cron, every, at)) != 1:
        raise InvalidSchedule(_("Say when it is to run: by a cron expression, at an interval, or once at a time."))
    if cron is not None:
        if len(cron.split()) == 6 and not seconds:
            # Other programs have a year there, or the second at the end: nobody shall get seconds by chance.
            raise InvalidSchedule(
                _(
                    "Cron expression {expression} has six fields, and five are expected. Where the first of six is the "
                    "second, say so: by --seconds, or by “With seconds” in the form."
                ).format(expression=repr(cron))
            )
        return CronSchedule(cron, tz=tz or None, seconds=seconds)
    if seconds:
        raise InvalidSchedule(_("A field of seconds belongs to a cron expression."))
    if tz:
        raise InvalidSchedule(_("A time zone belongs to a cron expression."))
    return IntervalSchedule(every) if every is not None else At(at)  # type: ignore[arg-type]


def edit_schedule(row: Any, changes: dict[str, Any]) -> None:
    """Change a schedule of people's; what is stored stays where only the placeholder of a redacted argument is given.

    Arguments that are not given stay too. Raise OperationRefused where a placeholder would be stored as it stands, and
    where another task would show what this one hides.
    """
    if {"task", "args", "kwargs"} & changes.keys():
        changes = changes | _call_of_edit(row, changes)
    people.edit(row.name, **changes)


def _call_of_edit(row: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments among some changes, with what is stored in the place of placeholders."""
    given: dict[str, Any] = {name: changes[name] for name in ("args", "kwargs") if name in changes}
    task, new = _known(row.task), _known(changes.get("task", row.task))
    try:
        stored = json.loads(row.args), json.loads(row.kwargs)
    except ValueError:
        task = None
    if task is None:
        # Nobody could see any of them: what looks like a placeholder stands for nothing.
        refuse_placeholders(given.get("args", ()), given.get("kwargs", {}))
        return given
    if task is new and given:
        args, kwargs = restored_call(task, stored, given.get("args", stored[0]), given.get("kwargs", stored[1]))
        return {"args": args, "kwargs": kwargs}
    if task is not new and (secret := secret_places(task, *stored)):
        refuse_placeholders(given.get("args", ()), given.get("kwargs", {}))
        _refuse_to_show(
            row.task, new, secret, ([] if "args" in given else stored[0], {} if "kwargs" in given else stored[1])
        )
    return given


def _refuse_to_show(name: str, new: CoreTask | None, secret: set[int | str], kept: tuple[Any, Any]) -> None:
    """Raise OperationRefused where `new` shows some of the arguments that are kept, and that the task `name` hides."""
    hidden = secret & {*range(len(kept[0])), *kept[1]}
    if new is not None and not hidden <= secret_places(new, *kept):
        raise OperationRefused(
            _(
                "{task} does not redact all that {name} does: whoever looks at the schedule would see it. Give its "
                "arguments anew, or let the task redact them."
            ).format(task=new.module_path, name=name)
        )


def _known(name: str) -> CoreTask | None:
    return registry.get(name) if registry.has(name) else None


def call_of(row: Any) -> ShownCall | None:
    """Return a schedule's arguments as people may see them; None where they cannot be read, or nobody knows what is secret."""
    try:
        return redacted_call(registry.get(row.task), json.loads(row.args), json.loads(row.kwargs))
    except (TaskNotFound, ValueError):
        return None
