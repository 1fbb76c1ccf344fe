"""Schedules of another system become schedules of people's here, under names that stay the same from run to run."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from .._compat import InvalidTask, InvalidTaskBackend
from ..exceptions import InvalidSchedule
from ..models import ScheduleRow
from ..schedules import Declaration
from ..schedules.declarations import NAME_LENGTH, OPTIONS, PEOPLE
from ..schedules.intervals import At
from ..scheduling import create
from ..scheduling.addresses import address_of
from ..scheduling.collecting import collect
from ..scheduling.databases import schedules_database
from .choices import Choices
from .findings import Found, NotTaken, Verdict, left, present, refused

#: Why a schedule cannot be: its times, its arguments, its queue, its backend.
_PROBLEMS = (InvalidSchedule, InvalidTask, InvalidTaskBackend, ImproperlyConfigured, TypeError)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A schedule of another system: what it is called, and what makes a declaration of it or says why not (NotTaken)."""

    name: str
    task: str
    #: Given a list, it notes there what of the row does not come along.
    declare: Callable[[list[str]], dict[str, Any]] = field(repr=False)


def import_schedules(source: str, rows: Iterable[Row], choices: Choices, *, is_rehearsal: bool) -> Iterator[Found]:
    """Yield what becomes of each row; write it, unless it is a rehearsal."""
    declared = {declaration.name: declaration for declaration in collect()[0]}
    for row in rows:
        notes: list[str] = []
        task = choices.renames.get(row.task, row.task)
        try:
            values = row.declare(notes)
            declaration = _declaration(row, values, choices)
            _refuse_known(declaration, declared.get(declaration.name))
            _leave_what_is_over(declaration, values["enabled"], choices)
            address_of(declaration)
            if not is_rehearsal:
                _create(declaration)
        except NotTaken as exc:
            yield Found(
                source=source,
                kind="schedule",
                name=row.name,
                task=task,
                verdict=exc.verdict,
                reason=exc.reason,
                notes=tuple(notes),
            )
        except _PROBLEMS as exc:
            yield Found(
                source=source, kind="schedule", name=row.name, task=task, verdict=Verdict.REFUSED, reason=str(exc)
            )
        else:
            yield Found(
                source=source,
                kind="schedule",
                name=row.name,
                task=declaration.task,
                verdict=Verdict.IMPORTED,
                words=_words(declaration),
                notes=tuple(notes),
            )


def short_name(name: str) -> str:
    """Return a name that fits, the same for the same one."""
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[: NAME_LENGTH - 10]} #{zlib.crc32(name.encode()):08x}"


def _declaration(row: Row, values: dict[str, Any], choices: Choices) -> Declaration:
    return Declaration(
        name=short_name(row.name),
        task=choices.task(row.task),
        backend=choices.backend,
        source=PEOPLE,
        **{**values, "enabled": values["enabled"] and not choices.is_off},
    )


def _create(declaration: Declaration) -> None:
    options = {name: getattr(declaration, name) for name in OPTIONS}
    create(declaration.name, declaration.task, declaration.schedule, **options)


def _refuse_known(declaration: Declaration, declared: Declaration | None) -> None:
    """Raise NotTaken where a schedule has the name already."""
    rows = ScheduleRow.objects.using(schedules_database())
    known = rows.filter(name=declaration.name).values_list("task", flat=True).first()
    task = known if known is not None else declared.task if declared is not None else None
    if task is None:
        return
    if task != declaration.task:
        raise refused(
            _("A schedule {name} is here already, and runs another task, {task}: rename one of them.").format(
                name=repr(declaration.name), task=task
            )
        )
    raise present(_("A schedule of this name runs this task here already; it is left as it is."))


def _leave_what_is_over(declaration: Declaration, was_on: bool, choices: Choices) -> None:
    if declaration.end is not None and declaration.end <= choices.now:
        raise left(_("It ended at {moment}.").format(moment=declaration.end.isoformat(" ", "seconds")))
    schedule = declaration.schedule
    if isinstance(schedule, At) and schedule.moment <= choices.now:
        moment = schedule.moment.isoformat(" ", "seconds")
        if was_on:
            raise refused(
                _("It was due once, at {moment}, and that is over: run it there, or enqueue its task.").format(
                    moment=moment
                )
            )
        raise left(_("It was due once, at {moment}, and is switched off.").format(moment=moment))


def _words(declaration: Declaration) -> str:
    words = [str(declaration.schedule)]
    if declaration.start is not None:
        words.append(_("from {moment}").format(moment=declaration.start.isoformat(" ", "seconds")))
    if declaration.end is not None:
        words.append(_("until {moment}").format(moment=declaration.end.isoformat(" ", "seconds")))
    if declaration.queue_name is not None:
        words.append(_("queue {name}").format(name=declaration.queue_name))
    if not declaration.enabled:
        words.append(_("switched off"))
    return ", ".join(words)
