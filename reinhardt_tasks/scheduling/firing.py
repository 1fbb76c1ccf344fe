"""Due slots become tasks: rows are locked, slots written and tasks stored in one transaction, or not at all.

Two schedulers never see to one row at a time, and whoever does finds `next_slot` as the last one left it. Where tasks cannot be
part of the transaction (Redis, another database), it leaves slots that are on their way; see `sending`.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connections

from ..brokers.database.outbox import job_as_text
from ..brokers.database.session import Session
from ..jobs import Job
from ..models import ScheduleRow, SlotRow
from ..schedules.declarations import ALLOW, QUEUE, Declaration
from .addresses import Address, address_of, slot_job
from .overlaps import last_ones_going
from .planning import Plan, plan
from .rows import declaration_of_row, set_next, stop

logger = logging.getLogger("reinhardt_tasks")

#: Schedules that are seen to in one transaction.
BATCH = 200
#: A schedule that cannot be fired here is left to others, who may have newer code, for so long after its time; then it is
#: switched off. So long a scheduler leaves it alone between two tries.
GRACE, REST = timedelta(seconds=60), timedelta(seconds=10)
#: Slots of one schedule that wait for the last run to end; what comes on top is left out.
QUEUE_LIMIT = 1000

_MICROSECOND = timedelta(microseconds=1)
_WRITTEN = (
    "enabled",
    "next_slot",
    "next_at",
    "last_slot",
    "last_task",
    "last_alias",
    "waiting",
    "waiting_since",
    "fired",
    "missed",
    "skipped",
    "last_error",
    "failed_at",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """A slot for which there is a task now."""

    schedule: str
    slot: datetime
    address: Address
    job: Job
    declaration: Declaration
    state: str
    schedule_id: int

    @property
    def is_waiting(self) -> bool:
        """Whether its task is stored only when the run before it has ended."""
        return self.state == SlotRow.WAITING


@dataclass(kw_only=True)
class Batch:
    """What was done for some schedules."""

    #: Rows that were due, and those of them that were not in somebody else's hands.
    seen: int = 0
    handled: int = 0
    firings: list[Firing] = field(default_factory=list)
    #: Name → why it cannot be fired.
    errors: dict[str, str] = field(default_factory=dict)
    #: Rows that are to be left alone for a while.
    left: set[int] = field(default_factory=set)
    #: Name → sentences for the log.
    notes: list[str] = field(default_factory=list)


def fire_due(
    session: Session,
    now: datetime,
    ran_since: datetime | None,
    *,
    max_catchup: int,
    left: Collection[int] = (),
    only: int | None = None,
) -> Batch:
    """See to a batch of the schedules that are due at `now`, but for those in `left`, or to `only` one; return what was done.

    Raise QueueError where the database cannot be reached, or refuses something of the batch; nothing was done then.
    """
    found = session.run(lambda cursor: list(due_rows(session, now, left, only)[:BATCH]))
    if not found:
        return Batch()
    # Asked before rows are locked: it may be another store, and that one slow.
    going = last_ones_going([row for row in found if row.overlap != ALLOW], session)
    asked_about = {row.pk: row.last_task for row in found}

    def work(cursor: Any) -> Batch:
        batch = Batch(seen=len(found))
        seeing = _Seeing(now, ran_since, max_catchup, batch)
        for row in _locked(session, list(asked_about), now):
            if row.overlap != ALLOW and row.last_task != asked_about.get(row.pk):
                # Somebody else has fired it since: it was not asked for the right task.
                continue
            batch.handled += 1
            seeing.see_to(row, going.get(row.pk))
        write(cursor, session, now, seeing.rows, batch.firings)
        return batch

    return session.run(work, together=True)


def due_rows(session: Session, now: datetime, left: Collection[int] = (), only: int | None = None) -> Any:
    """Return the schedules that somebody has to see to, the longest due first."""
    rows = ScheduleRow.objects.using(session.alias).filter(next_at__lte=now).order_by("next_at")
    rows = rows.exclude(pk__in=left) if left else rows
    return rows if only is None else rows.filter(pk=only)


def give_up(session: Session, pk: int, now: datetime, exc: Exception) -> None:
    """Switch off a schedule that the database refuses, while it takes others."""

    def work(cursor: Any) -> None:
        rows = ScheduleRow.objects.using(session.alias).filter(pk=pk)
        rows.update(enabled=False, next_slot=None, next_at=None, last_error=str(exc)[:5000], failed_at=now)

    session.run(work)


def _locked(session: Session, ids: Sequence[int], now: datetime) -> list[ScheduleRow]:
    rows = ScheduleRow.objects.using(session.alias).filter(pk__in=ids, next_at__lte=now).order_by("next_at")
    return list(rows.select_for_update(skip_locked=True))


class _Seeing:
    """Decides about rows one after the other. One that cannot be fired spoils nothing but itself."""

    def __init__(self, now: datetime, ran_since: datetime | None, max_catchup: int, batch: Batch) -> None:
        self._now = now
        self._ran_since = ran_since
        self._max_catchup = max_catchup
        self._batch = batch
        self.rows: list[ScheduleRow] = []

    def see_to(self, row: ScheduleRow, is_going: bool | None) -> None:
        if row.overlap != ALLOW and row.last_task is not None and is_going is None:
            # Its store does not answer: whether the last run has ended is not guessed.
            self._batch.left.add(row.pk)
            return
        try:
            declaration = declaration_of_row(row)
            address = address_of(declaration)
            assert row.next_slot is not None
            todo = plan(declaration, row.next_slot, row.since_at, self._now, self._ran_since, self._max_catchup)
            jobs = [slot_job(declaration, address, slot) for slot in todo.slots]
        except Exception as exc:
            self._fail(row, exc)
            return
        self._carry_out(row, declaration, address, todo, jobs, bool(is_going))

    def _carry_out(
        self, row: ScheduleRow, declaration: Declaration, address: Address, todo: Plan, jobs: list[Job], is_going: bool
    ) -> None:
        if todo.missed:
            row.missed += todo.missed
            self._batch.notes.append(
                f"Schedule {row.name}: missed {_many(todo.missed)} from {row.next_slot} on; catch_up is {row.catch_up}."
            )
        for slot, job in zip(todo.slots, jobs, strict=True):
            row.last_slot = slot
            if row.overlap == ALLOW or not (is_going or row.waiting):
                is_going = True
                self._fire(row, declaration, address, slot, job, SlotRow.SENDING)
            elif row.overlap == QUEUE and row.waiting < QUEUE_LIMIT:
                row.waiting += 1
                row.waiting_since = row.waiting_since or slot
                self._fire(row, declaration, address, slot, job, SlotRow.WAITING)
            else:
                row.skipped += 1
                self._batch.notes.append(f"Schedule {row.name}: {slot} is left out, the last run is still going.")
        if not todo.slots and todo.missed:
            row.last_slot = row.next_slot
        set_next(row, declaration, todo.next_slot)
        if todo.is_more:
            # Behind what others have waiting.
            row.next_at = self._now + _MICROSECOND
        row.last_error = row.failed_at = None
        self.rows.append(row)

    def _fire(
        self, row: ScheduleRow, declaration: Declaration, address: Address, slot: datetime, job: Job, state: str
    ) -> None:
        if state == SlotRow.SENDING:
            row.last_task, row.last_alias = uuid.UUID(job.id), address.alias
        row.fired += 1
        self._batch.firings.append(
            Firing(
                schedule=row.name,
                slot=slot,
                address=address,
                job=job,
                declaration=declaration,
                state=state,
                schedule_id=row.pk,
            )
        )

    def _fail(self, row: ScheduleRow, exc: Exception) -> None:
        reason = f"{type(exc).__name__}: {exc}"
        since = row.next_slot or row.next_at
        row.last_error, row.failed_at = reason, self._now
        if since is None or self._now - since >= GRACE:
            row.enabled = False
            stop(row)
            logger.error("Schedule %s cannot be fired and is switched off: %s", row.name, reason)
        else:
            self._batch.left.add(row.pk)
            logger.warning("Schedule %s cannot be fired here, and is left to others for a while: %s", row.name, reason)
        self._batch.errors[row.name] = reason
        self.rows.append(row)


def write(cursor: Any, session: Session, now: datetime, rows: Sequence[ScheduleRow], firings: list[Firing]) -> None:
    """Write rows and the slots that were fired, and store the tasks that can be part of this transaction.

    Firings whose slot is known are taken out of the list: it had its task, which may have ended and been deleted since.
    """
    slots = SlotRow.objects.using(session.alias)
    wanted = [uuid.UUID(firing.job.id) for firing in firings]
    known = {str(id_) for id_ in slots.filter(pk__in=wanted).values_list("pk", flat=True)} if wanted else set()
    firings[:] = [firing for firing in firings if firing.job.id not in known]
    together: dict[str, list[Firing]] = defaultdict(list)
    for firing in firings:
        if firing.state == SlotRow.SENDING and firing.address.is_in(session.alias):
            together[firing.address.alias].append(firing)
    for some in together.values():
        broker = some[0].address.broker
        assert broker is not None
        broker.enqueue([firing.job for firing in some])
    stored = {firing.job.id for some in together.values() for firing in some}
    slots.bulk_create([_slot_row(firing, now, firing.job.id in stored) for firing in firings], batch_size=BATCH)
    _save(cursor, session, rows)


def _slot_row(firing: Firing, now: datetime, is_stored: bool) -> SlotRow:
    return SlotRow(
        id=uuid.UUID(firing.job.id),
        schedule_id=firing.schedule_id,
        due_at=firing.slot,
        state=SlotRow.SENT if is_stored else firing.state,
        alias=firing.address.alias,
        pending_at=now if firing.state == SlotRow.SENDING and not is_stored else None,
        job=None if is_stored else job_as_text(firing.job),
    )


def _save(cursor: Any, session: Session, rows: Sequence[ScheduleRow]) -> None:
    """Write the columns that firing changes: one statement a row, sent as one."""
    if not rows:
        return
    connection = connections[session.alias]
    columns: list[Any] = [ScheduleRow._meta.get_field(name) for name in _WRITTEN]
    sets = ", ".join(f"{column.column} = %s" for column in columns)
    cursor.executemany(
        f"UPDATE {ScheduleRow._meta.db_table} SET {sets} WHERE id = %s",
        [
            [
                *(column.get_db_prep_save(getattr(row, column.attname), connection) for column in columns),
                row.pk,
            ]
            for row in rows
        ],
    )


def _many(number: int) -> str:
    return "one slot" if number == 1 else f"{number} slots"
