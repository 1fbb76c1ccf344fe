"""Runs by hand: tasks of a schedule beside its slots. They are kept among the slots, for people to see, and touch none.

A slot's id follows from its time; that of a run by hand does not, which tells the two apart.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta
from typing import Any

from ..arguments import passed_call
from ..brokers.database.session import Session
from ..exceptions import QueueError
from ..models import ScheduleRow, SlotRow
from ..schedules import Declaration
from ..schedules.slots import slot_id
from ..serialization import decode_call
from .addresses import Address, extra_job
from .planning import slot_after

logger = logging.getLogger("reinhardt_tasks")

_MICROSECOND = timedelta(microseconds=1)


def run_by_hand(session: Session, row: ScheduleRow, declaration: Declaration, address: Address, now: datetime) -> str:
    """Enqueue the task of a schedule once, note that, and return the task's id."""
    at = _beside_slots(declaration, now)
    job = extra_job(declaration, address, at)
    if address.broker is None:
        call = decode_call(job.payload)
        result: Any = address.backend.enqueue(address.task, *passed_call(address.task, call.args, call.kwargs))
        _note(session, row, address, at, _own_or(result.id, job.id))
        return str(result.id)
    # One that is unique may be there already, and have been noted.
    id_ = address.broker.enqueue([job])[0].id
    _note(session, row, address, at, id_)
    return id_


def is_by_hand(row: ScheduleRow, slot: SlotRow) -> bool:
    """Return whether a slot of a schedule is none of its times, but a run by hand."""
    return str(slot.pk) != slot_id(row.name, slot.due_at)


def _beside_slots(declaration: Declaration, now: datetime) -> datetime:
    """Return a moment that is none of the schedule's slots: one that is yet to be fired must find its place free."""
    try:
        is_slot = slot_after(declaration, now - _MICROSECOND) == now
    except Exception:
        # A schedule of the project's own, with a fault: it has no slots.
        is_slot = False
    return now + _MICROSECOND if is_slot else now


def _own_or(id_: Any, other: str) -> str:
    """Return the id that a backend gave, where it is a UUID as a slot's has to be; Django's own backends give none."""
    try:
        return str(uuid.UUID(str(id_)))
    except ValueError:
        return other


def _note(session: Session, row: ScheduleRow, address: Address, at: datetime, id_: str) -> None:
    noted = SlotRow(id=uuid.UUID(id_), schedule_id=row.pk, due_at=at, state=SlotRow.SENT, alias=address.alias)
    table = SlotRow.objects.using(session.alias)
    try:
        session.run(lambda cursor: table.bulk_create([noted], ignore_conflicts=True))
    except QueueError as exc:
        # The task is enqueued: whoever is told otherwise enqueues it again.
        logger.warning("The run by hand of schedule %s is not noted: id=%s: %s", row.name, id_, exc)
