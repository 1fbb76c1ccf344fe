"""Whether a schedule's last task is still going, and what waits for its end."""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from .._compat import InvalidTaskBackend, task_backends
from ..brokers.database.outbox import job_from_text
from ..brokers.database.session import Session
from ..exceptions import QueueError
from ..models import ScheduleRow, SlotRow
from .addresses import broker_of

logger = logging.getLogger("reinhardt_tasks")

#: Schedules that are asked about at one time.
PAGE = 500


def last_ones_going(rows: Iterable[ScheduleRow], session: Session) -> dict[int, bool]:
    """Return for each row whether its last task has not ended. One whose store does not answer is not in the answer."""
    answers: dict[int, bool] = {}
    asked: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row.last_task is None or row.last_alias is None:
            answers[row.pk] = False
        else:
            asked[row.last_alias][str(row.last_task)] = row.pk
    for alias, tasks in asked.items():
        try:
            going = _going(alias, list(tasks), session)
        except QueueError as exc:
            logger.warning("TASKS[%r] does not tell which tasks have ended: %s", alias, exc)
            continue
        answers |= {pk: id_ in going for id_, pk in tasks.items()}
    return answers


def _going(alias: str, ids: Sequence[str], session: Session) -> set[str]:
    try:
        broker = broker_of(task_backends[alias])
    except InvalidTaskBackend:
        return set()
    if broker is None:
        return set()
    found = broker.get(ids)
    going = {id_ for id_, job in found.items() if not job.status.is_finished}
    if missing := [uuid.UUID(id_) for id_ in ids if id_ not in found]:
        # Not there: deleted after its end, or still on its way.
        slots = SlotRow.objects.using(session.alias).filter(pk__in=missing, state=SlotRow.SENDING)
        going |= {str(id_) for id_ in session.run(lambda cursor: list(slots.values_list("pk", flat=True)))}
    return going


def release(session: Session, now: datetime) -> list[SlotRow]:
    """Let the next slot go of each schedule whose last task has ended; return these slots, each with its task as `job`.

    Those in the state SENDING have yet to be sent.
    """
    released: list[SlotRow] = []
    after = 0
    while True:
        waiting = ScheduleRow.objects.using(session.alias).filter(waiting_since__isnull=False, pk__gt=after)
        rows = session.run(lambda cursor: list(waiting.order_by("pk")[:PAGE]))  # noqa: B023 - run at once
        if not rows:
            return released
        after = rows[-1].pk
        going = last_ones_going(rows, session)
        ended = {row.pk: row.last_task for row in rows if going.get(row.pk) is False}
        if ended:
            released += session.run(lambda cursor: _release(session, ended, now), together=True)  # noqa: B023


def _release(session: Session, ended: dict[int, Any], now: datetime) -> list[SlotRow]:
    rows = ScheduleRow.objects.using(session.alias).filter(pk__in=ended, waiting_since__isnull=False).order_by("pk")
    released = []
    for row in rows.select_for_update(skip_locked=True):
        if row.last_task == ended[row.pk] and (slot := _let_go(session, row, now)) is not None:
            released.append(slot)
    return released


def _let_go(session: Session, row: ScheduleRow, now: datetime) -> SlotRow | None:
    # While one waits, so do all that came due after it.
    slots = SlotRow.objects.using(session.alias).filter(schedule_id=row.pk, due_at__gte=row.waiting_since)
    first, following, *_ = [*slots.filter(state=SlotRow.WAITING).order_by("due_at")[:2], None, None]
    row.waiting = 0 if following is None else max(1, row.waiting - 1)
    row.waiting_since = None if following is None else following.due_at
    if first is not None:
        row.last_task, row.last_alias = first.pk, first.alias
        _start(session, first, now)
    row.save(using=session.alias, update_fields=["waiting", "waiting_since", "last_task", "last_alias"])
    return first


def _start(session: Session, slot: SlotRow, now: datetime) -> None:
    slot.state, slot.pending_at = SlotRow.SENDING, now
    try:
        backend: Any = task_backends[slot.alias]
    except InvalidTaskBackend:
        # Whoever sends it says so.
        backend = None
    broker = broker_of(backend)
    if broker is not None and broker.traits.is_transactional and backend.database == session.alias:
        try:
            job = job_from_text(slot.job or "")
        except (ValueError, TypeError):
            # Damaged by hand: whoever sends it says so.
            slot.save(using=session.alias, update_fields=["state", "pending_at"])
            return
        broker.enqueue([job])
        slot.state, slot.pending_at = SlotRow.SENT, None
        # Of the row only: whoever tells of the task has it here.
        SlotRow.objects.using(session.alias).filter(pk=slot.pk).update(job=None)
    slot.save(using=session.alias, update_fields=["state", "pending_at"])
