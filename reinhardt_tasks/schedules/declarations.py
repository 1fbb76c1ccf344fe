"""What is to run by which schedule: `@scheduled` on a task, an entry of `OPTIONS["SCHEDULES"]`, and the list of them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

from .._compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY, CoreTask
from ..arguments import converter_of, stored_call
from ..calls import check_call
from ..exceptions import InvalidSchedule
from ..jobs import TaskPriority
from ..serialization import encode_call
from ..speech import gettext as _
from ..suggestions import did_you_mean, nearest
from ..texts import is_storable
from .base import Schedule, as_schedule
from .moments import aware, in_utc, seconds_of

T = TypeVar("T")

CODE, SETTINGS, PEOPLE = SOURCES = ("code", "settings", "people")
SKIP, LATEST, ALL = CATCH_UPS = ("skip", "latest", "all")
ALLOW, _SKIP, QUEUE = OVERLAPS = ("allow", "skip", "queue")

NAME_LENGTH = 100


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A schedule with what it runs, and how. Made valid, or not at all: raises InvalidSchedule.

    None in `queue_name`, `priority` and `backend` leaves these to the task.
    """

    name: str
    #: The task's name.
    task: str
    schedule: Schedule
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue_name: str | None = None
    priority: int | None = None
    backend: str | None = None
    #: What becomes of slots that passed while nothing ran: skip, latest, all.
    catch_up: str = LATEST
    #: What becomes of a slot while the last task is still going: allow, skip, queue.
    overlap: str = ALLOW
    #: Only slots from `start` on, and up to `end`, are there.
    start: datetime | None = None
    end: datetime | None = None
    #: Each slot is fired up to so much later, by a share that follows from the slot.
    jitter: timedelta = timedelta()
    enabled: bool = True
    source: str = CODE

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 1 <= len(self.name) <= NAME_LENGTH or not is_storable(self.name):
            raise InvalidSchedule(
                _("A schedule's name is a text of 1 to {most} letters, not {name}.").format(
                    most=NAME_LENGTH, name=repr(self.name)
                )
            )
        try:
            self._read()
        except (InvalidSchedule, TypeError, ValueError) as exc:
            raise InvalidSchedule(_("Schedule {name}: {reason}").format(name=repr(self.name), reason=exc)) from exc

    def _read(self) -> None:
        self._set(schedule=as_schedule(self.schedule), jitter=seconds_of(self.jitter, "jitter"))
        if isinstance(self.args, (str, bytes)) or not isinstance(self.args, Sequence):
            raise InvalidSchedule(_("args is a list or tuple, not {args}.").format(args=repr(self.args)))
        if not isinstance(self.kwargs, Mapping):
            raise InvalidSchedule(_("kwargs is a dictionary, not {kwargs}.").format(kwargs=repr(self.kwargs)))
        self._set(args=tuple(self.args), kwargs=dict(self.kwargs))
        encode_call(self.task, self.args, self.kwargs)
        _one_of("catch_up", self.catch_up, CATCH_UPS)
        _one_of("overlap", self.overlap, OVERLAPS)
        if not isinstance(self.enabled, bool):
            raise InvalidSchedule(_("enabled is True or False, not {enabled}.").format(enabled=repr(self.enabled)))
        for name in ("task", "queue_name", "backend"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value or not is_storable(value)):
                raise InvalidSchedule(_("{name} is a text, not {value}.").format(name=name, value=repr(value)))
        self._read_priority()
        for name in ("start", "end"):
            if getattr(self, name) is not None:
                aware(getattr(self, name), name)
        if self.start is not None and self.end is not None and self.end < self.start:
            raise InvalidSchedule(
                _("it ends ({end}) before it starts ({start}).").format(end=self.end, start=self.start)
            )

    def _read_priority(self) -> None:
        if isinstance(self.priority, TaskPriority):
            self._set(priority=self.priority.django)
        value = self.priority
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or not TASK_MIN_PRIORITY <= value <= TASK_MAX_PRIORITY
        ):
            raise InvalidSchedule(
                _("priority is a whole number from {least} to {most} or a TaskPriority, not {value}.").format(
                    least=TASK_MIN_PRIORITY, most=TASK_MAX_PRIORITY, value=repr(value)
                )
            )

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


#: What may be said of a schedule beside its name, task and times.
OPTIONS = tuple(item.name for item in fields(Declaration) if item.name not in ("name", "task", "schedule", "source"))


class ScheduleRegistry:
    """The schedules that code declares, by name. Safe with threads."""

    def __init__(self) -> None:
        self._declared: dict[str, Declaration] = {}
        self._lock = threading.Lock()

    def register(self, declaration: Declaration) -> None:
        """Keep a declaration. The same one again is no error (a module may be reloaded); another under its name is."""
        with self._lock:
            known = self._declared.setdefault(declaration.name, declaration)
        if known is not declaration and _facts(known) != _facts(declaration):
            raise InvalidSchedule(
                _(
                    "Two schedules are called {name}: of {task} ({schedule}) and of {task2} ({schedule2}). Give one of "
                    "them another name: @scheduled(…, name='…')."
                ).format(
                    name=repr(declaration.name),
                    task=known.task,
                    schedule=known.schedule,
                    task2=declaration.task,
                    schedule2=declaration.schedule,
                )
            )

    def unregister(self, name: str) -> None:
        with self._lock:
            self._declared.pop(name, None)

    def get(self, name: str) -> Declaration | None:
        return self._declared.get(name)

    def __iter__(self) -> Iterator[Declaration]:
        return iter([self._declared[name] for name in sorted(self._declared)])

    def clear(self) -> None:
        with self._lock:
            self._declared.clear()


#: What `@scheduled` and `Scheduler.add_task` fill.
declared = ScheduleRegistry()


def scheduled(schedule: Any, *, name: str | None = None, **options: Any) -> Callable[[T], T]:
    """Have a task run by a schedule; stands above `@task`, more than once if wanted (each with a `name` of its own then).

    `args`, `kwargs`, `queue_name`, `priority`, `backend`, `catch_up`, `overlap`, `start`, `end`, `jitter`, `enabled`: see
    `Declaration`. Raise InvalidSchedule where something of it cannot be, TypeError for an unknown option.
    """
    _check_names(options, "@scheduled")

    def decorate(task: T) -> T:
        if not isinstance(task, CoreTask):
            raise TypeError(
                _(
                    "@scheduled stands above @task, and {what} is no task: write @scheduled(…) in the line before "
                    "@task."
                ).format(what=getattr(task, "__qualname__", repr(task)))
            )
        declared.register(declaration_of(task, schedule, name, **options))
        return task

    return decorate


def declaration_of(task: CoreTask, schedule: Any, name: str | None = None, **options: Any) -> Declaration:
    """Return the declaration of a task's schedule. Raise InvalidSchedule, also for arguments that the task does not take."""
    if converter_of(task) is not None:
        try:
            args, kwargs = stored_call(task, options.get("args", ()), options.get("kwargs", {}))
        except TypeError as exc:
            raise InvalidSchedule(
                _("Schedule {name}: {reason}").format(name=repr(name or task.module_path), reason=exc)
            ) from exc
        options |= {"args": args, "kwargs": kwargs}
    made = Declaration(name=name or task.module_path, task=task.module_path, schedule=schedule, **options)
    check_arguments(made, task)
    return made


def check_arguments(declaration: Declaration, task: CoreTask) -> None:
    """Raise InvalidSchedule where the task cannot be called with the schedule's arguments."""
    try:
        check_call(task, declaration.args, declaration.kwargs)
    except TypeError as exc:
        raise InvalidSchedule(_("Schedule {name}: {reason}").format(name=repr(declaration.name), reason=exc)) from None


def declared_in_settings(alias: str, given: Any) -> tuple[list[Declaration], list[str]]:
    """Return what `OPTIONS["SCHEDULES"]` of an alias declares, and a sentence for each entry that cannot be."""
    found: list[Declaration] = []
    problems: list[str] = []
    for name, entry in given.items():
        try:
            found.append(_from_settings(alias, name, entry))
        except (InvalidSchedule, TypeError) as exc:
            problems.append(f"TASKS[{alias!r}]['OPTIONS']['SCHEDULES'][{name!r}]: {exc}")
    return found, problems


def _from_settings(alias: str, name: Any, entry: Any) -> Declaration:
    if not isinstance(entry, Mapping):
        raise InvalidSchedule(
            _("must be a dictionary like {{'task': 'shop.tasks.close', 'schedule': '0 3 * * *'}}, not {entry}.").format(
                entry=repr(entry)
            )
        )
    values = dict(entry)
    if missing := [key for key in ("task", "schedule") if key not in values]:
        raise InvalidSchedule(_("lacks {names}.").format(names=", ".join(map(repr, missing))))
    _check_names(values, "An entry", ("task", "schedule", *OPTIONS))
    return Declaration(name=name, source=SETTINGS, **{"backend": alias, **values})


def _check_names(given: Mapping[str, Any], what: str, known: Sequence[str] = OPTIONS) -> None:
    for key in given:
        if key not in known:
            near = nearest(key, known)
            hint = (
                _("Did you mean {near}?").format(near=repr(near))
                if near
                else _("Known are {known}.").format(known=", ".join(known))
            )
            raise TypeError(_("{what} has no option {key}. {hint}").format(what=what, key=repr(key), hint=hint))


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise InvalidSchedule(
            _("{name} is one of {known}, not {value}{hint}.").format(
                name=name,
                known=", ".join(map(repr, known)),
                value=repr(value),
                hint=did_you_mean(value, known),
            )
        )


def _facts(declaration: Declaration) -> Any:
    facts = {item.name: getattr(declaration, item.name) for item in fields(Declaration)}
    for name in ("start", "end"):
        facts[name] = facts[name] and in_utc(facts[name])
    return facts
