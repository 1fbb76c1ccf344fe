"""What people do with schedules: see them, switch them, run one now, make, change and delete. For the admin and for commands.

Every function takes `database`, by default the one that keeps the schedules, and raises InvalidSchedule for what cannot be,
with a sentence for whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from ..brokers.database.session import Session
from ..exceptions import InvalidSchedule
from ..models import ScheduleRow, SlotRow
from ..registry import registry
from ..schedules import Declaration
from ..schedules.declarations import OPTIONS, PEOPLE
from ..suggestions import did_you_mean
from .addresses import address_of
from .by_hand import run_by_hand
from .databases import clock_of, schedules_database
from .planning import COUNTED, LATE, slot_after, slots_of
from .rows import begin_at, columns_of, declaration_of_row, expression_of_row, fill, schedule_in_words, stop, times_of
from .synchronising import change_times, not_taken_over

#: Rows that are read at one time.
PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleView:
    """A schedule as people see it."""

    row: ScheduleRow
    #: The schedule in plain English.
    words: str
    #: Its next slots.
    next: tuple[datetime, ...]
    #: Slots that should have been fired a minute ago or longer, and were not; at most COUNTED are counted.
    late: int
    #: Slots of its that are on their way to their store for as long.
    unsent: int

    @property
    def state(self) -> str:
        """One of on, off, broken (switched off by an error), retired (not declared any more), over (no slot is left)."""
        if self.row.retired_at is not None:
            return "retired"
        if not self.row.enabled:
            return "broken" if self.row.failed_at is not None else "off"
        return "over" if self.row.next_slot is None else "on"

    @property
    def expression(self) -> str:
        """Its cron expression as written, with the time zone that it names; '' for a schedule of another kind."""
        return expression_of_row(self.row)

    @property
    def is_well(self) -> bool:
        return not (self.late or self.unsent or self.state == "broken" or self.row.failed_at is not None)


def list_schedules(
    number: int = 5, *, after: str = "", limit: int | None = None, database: str | None = None
) -> Iterator[ScheduleView]:
    """Yield schedules by name, `limit` of them after a name, each with its next `number` slots."""
    session = _session(database)
    now = clock_of(session)()
    table = ScheduleRow.objects.using(session.alias)
    while limit is None or limit > 0:
        page = PAGE if limit is None else min(PAGE, limit)
        rows = session.run(lambda cursor: list(table.filter(name__gt=after).order_by("name")[:page]))  # noqa: B023
        unsent = _unsent(session, now)
        yield from (view_of(row, now, number, unsent.get(row.pk, 0)) for row in rows)
        if len(rows) < page:
            return
        after = rows[-1].name
        limit = None if limit is None else limit - len(rows)


def view_of(row: ScheduleRow, now: datetime, number: int, unsent: int = 0) -> ScheduleView:
    """Return a row as people see it at `now`."""
    upcoming: tuple[datetime, ...] = ()
    late = 0
    try:
        declaration = declaration_of_row(row)
        if row.next_slot is not None:
            late = _late(row, declaration, now)
            first = max(now, row.since_at) if row.next_slot <= now else None
            following = slots_of(declaration, row.next_slot if first is None else first)
            upcoming = (
                tuple(islice(following, number))
                if first is not None
                else (row.next_slot, *islice(following, max(0, number - 1)))[:number]
            )
    except Exception:
        # What is wrong with it is in its error, or will be when it is due; it is to be seen all the same.
        late = late or int(row.next_at is not None and now - row.next_at >= LATE)
    return ScheduleView(row=row, words=schedule_in_words(row), next=upcoming, late=late, unsent=unsent)


def switch(name: str, is_on: bool, *, database: str | None = None) -> ScheduleRow:
    """Switch a schedule on or off. What came due while it was off is not run. One that an error has switched off is off then."""

    def change(row: ScheduleRow, now: datetime) -> None:
        if row.retired_at is not None:
            raise InvalidSchedule(
                _("Schedule {name} is not declared any more: its code or settings are gone.").format(name=repr(name))
            )
        if is_on:
            _check(declaration_of_row(row))
            row.last_error = None
        # Whoever switches it off has seen its error, which stays to be read.
        row.failed_at = None
        was_on = row.enabled and row.next_at is not None
        row.enabled = is_on
        if not (was_on and is_on):
            begin_at(row, declaration_of_row(row), now) if is_on else stop(row)

    return _changed(name, change, database)


def run_now(name: str, *, database: str | None = None) -> str:
    """Enqueue a schedule's task once, beside its slots, whatever its `overlap` says; return the task's id.

    The task's `context.scheduled_for` is the moment of this call. The run is kept among the schedule's slots, as one by hand.
    """
    session = _session(database)
    now = clock_of(session)()
    row = _get(name, session)
    declaration = declaration_of_row(row)
    address = _check(declaration)
    return run_by_hand(session, row, declaration, address, now)


def find(name: str, *, database: str | None = None) -> ScheduleRow:
    """Return a schedule's row."""
    return _get(name, _session(database))


def last_slots(row: ScheduleRow, number: int, *, database: str | None = None) -> list[SlotRow]:
    """Return the newest slots of a schedule that have a task, and its runs by hand among them."""
    session = _session(database)
    slots = SlotRow.objects.using(session.alias).filter(schedule_id=row.pk).order_by("-due_at")
    return session.run(lambda cursor: list(slots[:number]))


def now(*, database: str | None = None) -> datetime:
    """Return the time by the clock of the schedules' database, which is that of all slots."""
    return clock_of(_session(database))()


def create(name: str, task: str, schedule: Any, *, database: str | None = None, **options: Any) -> ScheduleRow:
    """Make a schedule of people's own; its options are those of `@scheduled`. Its slots count from now on."""
    _check_options(options)
    session = _session(database)
    declaration = Declaration(name=name, task=task, schedule=schedule, source=PEOPLE, **options)
    _check(declaration)
    row = ScheduleRow(name=name, enabled=declaration.enabled, **columns_of(declaration))
    begin_at(row, declaration, clock_of(session)())
    with transaction.atomic(using=session.alias):
        _row, is_new = ScheduleRow.objects.using(session.alias).get_or_create(
            name=name, defaults={item.attname: getattr(row, item.attname) for item in _columns() if item.name != "id"}
        )
    if not is_new:
        raise _taken(name)
    return _get(name, session)


def check_name(name: str, *, database: str | None = None) -> None:
    """Raise InvalidSchedule for a name that a schedule has already."""
    if ScheduleRow.objects.using(_session(database).alias).filter(name=name).exists():
        raise _taken(name)


def edit(name: str, *, database: str | None = None, **changes: Any) -> ScheduleRow:
    """Change a schedule of people's own: `task`, `schedule`, and the options of `@scheduled`.

    What was due before and is not fired yet stays; other times count from now on. A schedule that code or settings declare is
    changed there; only `enabled` is people's.
    """
    _check_options(changes, ("task", "schedule", *OPTIONS))

    def change(row: ScheduleRow, now: datetime) -> None:
        if row.source != PEOPLE and changes.keys() - {"enabled"}:
            raise InvalidSchedule(
                _(
                    "Schedule {name} is declared in {source}: change it there. Here it can be switched on and off."
                ).format(name=repr(name), source=row.source)
            )
        before = times_of(row)
        was_on = row.enabled and row.next_at is not None
        # One that cannot be read may be what is to be mended: all of it that is given anew is not read.
        declaration = _edited(row, changes)
        _check(declaration)
        if row.source == PEOPLE:
            fill(row, declaration)
        row.enabled = declaration.enabled
        row.last_error = row.failed_at = None
        if not row.enabled:
            stop(row)
        elif not was_on:
            begin_at(row, declaration, now)
        elif times_of(row) != before:
            change_times(row, declaration, now)

    return _changed(name, change, database)


def delete(name: str, *, database: str | None = None) -> None:
    """Delete a schedule. One that is declared in code or settings comes back at the next start of a scheduler: refused."""
    session = _session(database)
    row = _get(name, session)
    if row.source != PEOPLE and row.retired_at is None:
        raise InvalidSchedule(
            _("Schedule {name} is declared in {source}: remove it there, or switch it off.").format(
                name=repr(name), source=row.source
            )
        )
    slots = SlotRow.objects.using(session.alias).filter(schedule_id=row.pk)
    with transaction.atomic(using=session.alias):
        slots._raw_delete(session.alias)
        ScheduleRow.objects.using(session.alias).filter(pk=row.pk)._raw_delete(session.alias)


def _taken(name: str) -> InvalidSchedule:
    return InvalidSchedule(
        _("There is a schedule {name} already. Choose another name, or edit that one.").format(name=repr(name))
    )


def _edited(row: ScheduleRow, changes: dict[str, Any]) -> Declaration:
    given = dict(changes)
    readable = ScheduleRow(**{item.attname: getattr(row, item.attname) for item in _columns()})
    if "schedule" in given:
        readable.schedule = '{"kind": "interval", "microseconds": 60000000}'
    readable.args = "[]" if "args" in given else row.args
    readable.kwargs = "{}" if "kwargs" in given else row.kwargs
    return replace(declaration_of_row(readable), **given)


def _columns() -> Sequence[Any]:
    return ScheduleRow._meta.concrete_fields


def _check(declaration: Declaration) -> Any:
    """Raise InvalidSchedule where a schedule could not be fired; return where its tasks go."""
    if not registry.has(declaration.task):
        raise InvalidSchedule(
            _("Schedule {name}: no task is registered as {task}{hint}.").format(
                name=repr(declaration.name),
                task=repr(declaration.task),
                hint=did_you_mean(declaration.task, registry.list()),
            )
        )
    try:
        return address_of(declaration)
    except InvalidSchedule:
        raise
    except Exception as exc:
        raise InvalidSchedule(_("Schedule {name}: {reason}").format(name=repr(declaration.name), reason=exc)) from exc


def _check_options(given: dict[str, Any], known: Sequence[str] = OPTIONS) -> None:
    for key in given:
        if key not in known:
            raise TypeError(
                f"A schedule has no option {key!r}{did_you_mean(key, known)}; known are {', '.join(known)}."
            )


def _changed(name: str, change: Callable[[ScheduleRow, datetime], None], database: str | None) -> ScheduleRow:
    """Change a row under its lock, so that no scheduler fires it by what it was."""
    session = _session(database)
    now = clock_of(session)()

    def work(cursor: Any) -> ScheduleRow:
        row = _get(name, session, for_update=session.connection.features.has_select_for_update)
        change(row, now)
        row.save(using=session.alias)
        return row

    return session.run(work, together=True)


def _get(name: str, session: Session, *, for_update: bool = False) -> ScheduleRow:
    table = ScheduleRow.objects.using(session.alias)
    row = (table.select_for_update() if for_update else table).filter(name=name).first()
    if row is None:
        raise _missing(name, session)
    return row


def _missing(name: str, session: Session) -> InvalidSchedule:
    new = [declaration.name for declaration in not_taken_over(session.alias)]
    if name in new:
        return InvalidSchedule(
            _(
                "Schedule {name} is declared, and no scheduler has taken it over yet: `manage.py runscheduler` does that at "
                "its start."
            ).format(name=repr(name))
        )
    known = [*ScheduleRow.objects.using(session.alias).values_list("name", flat=True)[:1000], *new]
    return InvalidSchedule(
        _("There is no schedule {name}{hint}.").format(name=repr(name), hint=did_you_mean(name, known))
    )


def _session(database: str | None) -> Session:
    return Session(database or schedules_database())


def _unsent(session: Session, now: datetime) -> dict[int, int]:
    def ask(cursor: Any) -> dict[int, int]:
        cursor.execute(
            f"SELECT schedule_id, COUNT(*) FROM {SlotRow._meta.db_table} WHERE pending_at < %s GROUP BY schedule_id",
            [SlotRow._meta.get_field("pending_at").get_prep_value(now - LATE)],
        )
        return dict(cursor.fetchall())

    return session.run(ask)


def _late(row: ScheduleRow, declaration: Declaration, now: datetime) -> int:
    """Return how many slots should have been fired and were not, for a minute or longer."""
    number, slot = 0, row.next_slot
    while slot is not None and now - slot - declaration.jitter >= LATE and number < COUNTED:
        number += 1
        slot = slot_after(declaration, max(slot, row.since_at))
    return number


__all__ = [
    "ScheduleView",
    "check_name",
    "create",
    "delete",
    "edit",
    "find",
    "last_slots",
    "list_schedules",
    "now",
    "run_now",
    "switch",
    "view_of",
]
