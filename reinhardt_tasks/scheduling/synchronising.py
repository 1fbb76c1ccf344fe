"""What code and settings declare becomes rows, when a scheduler starts.

The definition is the code's: what people changed in it is written over when the declaration changes, and the functions for
people refuse to change it. The switch is theirs: `enabled` of a declaration is for a new row, and counts again when it is
itself changed.

The start that comes last decides. Where releases have numbers, a lower one leaves alone what a higher one has declared or
retired: an old process that is restarted in the midst of a deploy takes nothing back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.utils import translation

from ..brokers.database.session import Session
from ..models import ScheduleRow
from ..schedules import Declaration
from ..schedules.declarations import PEOPLE
from .collecting import collect
from .databases import schedules_database, schedules_version
from .rows import COLUMNS, begin_at, columns_of, fill, schedule_in_words, set_next, stop, times_of

logger = logging.getLogger("reinhardt_tasks")


def not_taken_over(database: str | None = None) -> list[Declaration]:
    """Return what code and settings declare and no scheduler has taken over: one statement, if anything is declared at all."""
    declarations, _problems = collect()
    if not declarations:
        return []
    session = Session(database or schedules_database())
    rows = ScheduleRow.objects.using(session.alias).exclude(source=PEOPLE)
    version = schedules_version()
    known = {
        row.name
        for row in session.run(lambda cursor: list(rows.only("name", "version", "retired_at")))
        # What is retired was taken over by code that did not declare it; of a newer release, it stays that.
        if row.retired_at is None or _is_newer(row, version)
    }
    return [declaration for declaration in declarations if declaration.name not in known]


def synchronise(
    session: Session, now: datetime, declarations: Sequence[Declaration], version: int | None = None
) -> list[str]:
    """Write declarations into their rows, and retire what is not declared any more; return sentences for the log."""
    by_name = {declaration.name: declaration for declaration in declarations}

    def work(cursor: Any) -> list[str]:
        table = ScheduleRow.objects.using(session.alias)
        known = set(table.filter(name__in=by_name).values_list("name", flat=True))
        new = [_new_row(by_name[name], now, version) for name in by_name if name not in known]
        table.bulk_create(new, ignore_conflicts=True, batch_size=200)
        # The log is English, whatever language is active.
        with translation.override("en"):
            notes = [f"Schedule {row.name} is new: {schedule_in_words(row)}." for row in new]
        rows = table.order_by("pk").select_for_update()
        for row in rows.filter(name__in=by_name):
            if _is_newer(row, version):
                notes.append(f"Schedule {row.name} is left to version {row.version}, which is newer than {version}.")
                continue
            note, was = _take_over(row, by_name[row.name], now), row.version
            row.version = version
            if note or was != version:
                row.save(using=session.alias)
            if note:
                notes.append(note)
        for row in rows.exclude(name__in=by_name).exclude(source=PEOPLE).filter(retired_at__isnull=True):
            if _is_newer(row, version):
                continue
            row.version = version
            row.retired_at = now
            stop(row)
            row.save(using=session.alias)
            notes.append(f"Schedule {row.name} is not declared any more, and retired.")
        return notes

    return session.run(work, together=True)


def _is_newer(row: ScheduleRow, version: int | None) -> bool:
    """Return whether a row's declaration is of a newer release than this one. Of one without a number nobody knows."""
    return row.version is not None and version is not None and row.version > version


def _new_row(declaration: Declaration, now: datetime, version: int | None) -> ScheduleRow:
    row = ScheduleRow(name=declaration.name, enabled=declaration.enabled, declared=_told(declaration), version=version)
    fill(row, declaration)
    _safely(begin_at, row, declaration, now)
    return row


def _take_over(row: ScheduleRow, declaration: Declaration, now: datetime) -> str | None:
    """Change a row to what is declared; return a sentence, or None where nothing is to be changed."""
    told, note = _told(declaration), None
    was_off, before = not row.enabled, times_of(row)
    if row.declared != told:
        note = f"Schedule {row.name} has changed."
        if row.declared is not None and json.loads(row.declared)["enabled"] != declaration.enabled:
            row.enabled = declaration.enabled
        fill(row, declaration)
        row.declared = told
    if not row.enabled and row.failed_at is not None and declaration.enabled:
        # The fault may have been mended together with the code that declares it.
        note = f"Schedule {row.name} gets another chance, after: {row.last_error}"
        row.enabled = True
        row.last_error = row.failed_at = None
    if row.retired_at is not None:
        note = f"Schedule {row.name} is declared again."
        row.retired_at = None
        _safely(begin_at, row, declaration, now)
    elif not row.enabled:
        stop(row)
    elif was_off:
        _safely(begin_at, row, declaration, now)
    elif times_of(row) != before:
        _safely(change_times, row, declaration, now)
    return note


def _safely(begin: Callable[..., None], row: ScheduleRow, declaration: Declaration, now: datetime) -> None:
    try:
        begin(row, declaration, now)
    except Exception as exc:
        # A schedule of the project's own, with a fault. It must not keep the others from being taken over.
        row.enabled = False
        stop(row)
        row.last_error, row.failed_at = f"{type(exc).__name__}: {exc}", now
        logger.exception("Schedule %s cannot say when it is due, and is switched off.", row.name)


def change_times(row: ScheduleRow, declaration: Declaration, now: datetime) -> None:
    """Let other times count from `now` on. A slot that was due before, and is not fired yet, stays."""
    slot = row.next_slot
    begin_at(row, declaration, now)
    if slot is not None and slot <= now:
        set_next(row, declaration, slot)


def _told(declaration: Declaration) -> str:
    return json.dumps({**_plain(columns_of(declaration)), "enabled": declaration.enabled}, sort_keys=True)


def _plain(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        name: columns[name].isoformat() if isinstance(columns[name], datetime) else columns[name] for name in COLUMNS
    }
