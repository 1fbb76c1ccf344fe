"""Slots on their way to a store that takes no part in the database's transactions, Redis above all: sent at least once.

A slot's task has the slot's own id, which its store knows again: what is sent twice is there once. Whoever was to send it may
have died before, or between sending and saying so here; whichever it was, the next scheduler that looks sends it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._compat import InvalidTaskBackend, task_backends
from ..arguments import passed_call
from ..brokers.base import Broker
from ..brokers.database.outbox import job_from_text
from ..brokers.database.session import Session
from ..brokers.sifting import by_part, send_all_that_can_be
from ..exception_text import log_exception
from ..exceptions import QueueError
from ..jobs import Job
from ..models import ScheduleRow, SlotRow
from ..redaction import cleaner, may_hide
from ..registry import registry
from ..retries import pause_after
from ..serialization import decode_call
from .addresses import broker_of

logger = logging.getLogger("reinhardt_tasks")

#: Slots that are sent at once, and how long whoever wrote one has to send it before others do.
BATCH, RESEND_AFTER = 200, timedelta(seconds=5)
#: Slots that are looked at among those that were left behind: some may have to wait, and others come after them.
LOOKED_AT = 1000
#: The longest pause between two tries at a store that does not answer, and the pause between two at a slot that its store does
#: not take, in seconds.
LONGEST_PAUSE, REFUSED_PAUSE = 10.0, 60.0
#: For how long a slot is kept trying whose backend is not in TASKS here.
GRACE = timedelta(seconds=60)
#: A store forgets a finished task after a while. A slot that is on its way for longer than this share of it may have been
#: there, and run, and been forgotten: it is not sent again.
SAFE_SHARE = 0.9


class Sender:
    """Sends slots, and lets a store, or a part of one, that does not answer rest."""

    def __init__(self, session: Session) -> None:
        self._session = session
        #: By alias and part.
        self._failures: dict[tuple[str, Hashable], int] = {}
        self._retry_at: dict[tuple[str, Hashable], float] = {}
        #: Slots that their store does not take, and when they are tried again.
        self._refused: dict[Any, float] = {}

    def send(self, slots: Iterable[SlotRow]) -> None:
        """Send slots that were just written."""
        for alias, some in by_part(slots, _alias_of).items():
            self._send(alias, some, None)

    def relay(self, now: datetime) -> int:
        """Send what others, or this one while a store was away, have left behind; return how many that were."""
        clock = time.monotonic()
        self._refused = {pk: at for pk, at in self._refused.items() if at > clock}
        resting = [alias for (alias, part), at in self._retry_at.items() if clock < at and part is None]
        left = (
            SlotRow.objects.using(self._session.alias)
            .filter(pending_at__lte=now - RESEND_AFTER, state=SlotRow.SENDING)
            .exclude(alias__in=resting)
            .order_by("pending_at")
        )
        found = self._session.run(lambda cursor: list(left[:LOOKED_AT]))
        slots = [slot for slot in found if slot.pk not in self._refused]
        for alias, some in by_part(slots, _alias_of).items():
            self._send(alias, some, now)
        return len(slots)

    def _send(self, alias: str, slots: Sequence[SlotRow], now: datetime | None) -> None:
        try:
            backend: Any = task_backends[alias]
        except InvalidTaskBackend as exc:
            self._refuse(
                [slot for slot in slots if now and slot.pending_at and now - slot.pending_at > GRACE], str(exc)
            )
            return
        broker = broker_of(backend)
        slots = [slot for slot in slots if self._is_whole(slot)]
        if broker is None:
            for slot in slots:
                self._hand_over(backend, slot)
            return
        for part, some in by_part(slots, lambda slot: broker.part_of(_job_of(slot))).items():
            if time.monotonic() >= self._retry_at.get((alias, part), 0.0):
                self._try((alias, part), backend, broker, some if now is None else some[:BATCH], now)

    def _try(
        self, place: tuple[str, Hashable], backend: Any, broker: Broker, slots: Sequence[SlotRow], now: datetime | None
    ) -> None:
        try:
            self._store(backend, broker, slots, now)
        except QueueError as exc:
            failures = self._failures[place] = self._failures.get(place, 0) + 1
            pause = pause_after(failures, first=0.25, longest=LONGEST_PAUSE)
            self._retry_at[place] = time.monotonic() + pause
            logger.warning(
                "%d slots for TASKS[%r] wait to be sent (try %d, next in %.1f s): %s",
                len(slots),
                place[0],
                failures,
                pause,
                exc,
            )
        else:
            self._failures.pop(place, None)
            self._retry_at.pop(place, None)

    def _store(self, backend: Any, broker: Broker, slots: Sequence[SlotRow], now: datetime | None) -> None:
        """Store the tasks of slots in one part of a store. Raise QueueError where that is away; what is refused waits alone."""
        if now is not None:
            slots = self._without_doubtful(broker, backend, slots, now)
        unsent = send_all_that_can_be([_job_of(slot) for slot in slots], broker.enqueue, broker.part_of)
        self._mark([slot for slot in slots if str(slot.pk) not in unsent], SlotRow.SENT)
        for slot in slots:
            if (reason := unsent.refused.get(str(slot.pk))) is not None:
                self._refused[slot.pk] = time.monotonic() + REFUSED_PAUSE
                words = "The slot %s of schedule %s is not taken by TASKS[%r] (next try in %g s): %s"
                logger.warning(words, slot.due_at, slot.schedule_id, slot.alias, REFUSED_PAUSE, reason)
        if unsent.away:
            raise next(iter(unsent.away.values()))

    def _is_whole(self, slot: SlotRow) -> bool:
        try:
            _job_of(slot)
        except (ValueError, TypeError):
            self._refuse([slot], "what was kept of its task is damaged")
            return False
        return True

    def _without_doubtful(self, broker: Broker, backend: Any, slots: Sequence[SlotRow], now: datetime) -> list[SlotRow]:
        """Take out what has arrived, and what may have arrived and been forgotten."""
        known = broker.get([str(slot.pk) for slot in slots])
        self._mark([slot for slot in slots if str(slot.pk) in known], SlotRow.SENT)
        unknown = [slot for slot in slots if str(slot.pk) not in known]
        kept = backend.settings.result_ttl
        if kept is None:
            return unknown
        limit = now - timedelta(seconds=kept * SAFE_SHARE)
        doubtful = [slot for slot in unknown if slot.pending_at is not None and slot.pending_at < limit]
        self._refuse(
            doubtful, "it was on its way when its scheduler died, so long ago that it may have run and been deleted"
        )
        return [slot for slot in unknown if slot not in doubtful]

    def _hand_over(self, backend: Any, slot: SlotRow) -> None:
        """Enqueue by a backend that keeps no jobs. It is told once, at most."""
        if not self._mark([slot], SlotRow.SENT):
            return
        job = _job_of(slot)
        call = decode_call(job.payload)
        try:
            task = registry.get(job.name).using(backend=backend.alias)
            backend.enqueue(task, *passed_call(task, call.args, call.kwargs))
        except Exception:
            words = "Task path=%s of a schedule could not be enqueued by TASKS[%r]."
            log_exception(words, job.name, backend.alias, cleaner=lambda: cleaner(job) if may_hide(job.name) else None)

    def _mark(self, slots: Sequence[SlotRow], state: str) -> int:
        if not slots:
            return 0
        ids = [slot.pk for slot in slots]
        rows = SlotRow.objects.using(self._session.alias).filter(pk__in=ids, state=SlotRow.SENDING)
        return self._session.run(lambda cursor: rows.update(state=state, pending_at=None, job=None))

    def _refuse(self, slots: Sequence[SlotRow], reason: str) -> None:
        for slot in slots:
            if self._mark([slot], SlotRow.UNSURE):
                logger.error("The slot %s of schedule %s is not sent: %s.", slot.due_at, slot.schedule_id, reason)
                rows = ScheduleRow.objects.using(self._session.alias).filter(pk=slot.schedule_id)
                error = f"The slot {slot.due_at} was not sent: {reason}. Run it now, if it is wanted."
                self._session.run(lambda cursor: rows.update(last_error=error))  # noqa: B023 - run at once


def _job_of(slot: SlotRow) -> Job:
    return job_from_text(slot.job or "")


def _alias_of(slot: SlotRow) -> str:
    alias: str = slot.alias
    return alias
