"""Slots on their way to a store that takes no part in the database's transactions, Redis above all: sent at least once.

A slot's task has the slot's own id, which its store knows again: what is sent twice is there once. Whoever was to send it may
have died before, or between sending and saying so here; whichever it was, the next scheduler that looks sends it again.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._compat import InvalidTaskBackend, task_backends
from ..arguments import passed_call
from ..brokers.base import Broker
from ..brokers.database.outbox import job_from_text
from ..brokers.database.session import Session
from ..exception_text import log_exception
from ..exceptions import QueueError
from ..models import ScheduleRow, SlotRow
from ..redaction import cleaner, may_hide
from ..registry import registry
from ..retries import pause_after
from ..serialization import decode_call
from .addresses import broker_of

logger = logging.getLogger("reinhardt_tasks")

#: Slots that are sent at once, and how long whoever wrote one has to send it before others do.
BATCH, RESEND_AFTER = 200, timedelta(seconds=5)
#: The longest pause between two tries at a store that does not answer, in seconds.
LONGEST_PAUSE = 10.0
#: For how long a slot is kept trying whose backend is not in TASKS here.
GRACE = timedelta(seconds=60)
#: A store forgets a finished task after a while. A slot that is on its way for longer than this share of it may have been
#: there, and run, and been forgotten: it is not sent again.
SAFE_SHARE = 0.9


class Sender:
    """Sends slots, and lets a store that does not answer rest."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._failures: dict[str, int] = {}
        self._retry_at: dict[str, float] = {}

    def send(self, slots: Iterable[SlotRow]) -> None:
        """Send slots that were just written."""
        by_alias: dict[str, list[SlotRow]] = defaultdict(list)
        for slot in slots:
            by_alias[slot.alias].append(slot)
        for alias, some in by_alias.items():
            if time.monotonic() >= self._retry_at.get(alias, 0.0):
                self._try(alias, some, None)

    def relay(self, now: datetime) -> int:
        """Send what others, or this one while a store was away, have left behind; return how many that were."""
        resting = [alias for alias, at in self._retry_at.items() if time.monotonic() < at]
        left = (
            SlotRow.objects.using(self._session.alias)
            .filter(pending_at__lte=now - RESEND_AFTER, state=SlotRow.SENDING)
            .exclude(alias__in=resting)
            .order_by("pending_at")
        )
        slots = self._session.run(lambda cursor: list(left[:BATCH]))
        by_alias: dict[str, list[SlotRow]] = defaultdict(list)
        for slot in slots:
            by_alias[slot.alias].append(slot)
        for alias, some in by_alias.items():
            self._try(alias, some, now)
        return len(slots)

    def _try(self, alias: str, slots: Sequence[SlotRow], now: datetime | None) -> None:
        try:
            self._send(alias, slots, now)
        except QueueError as exc:
            failures = self._failures[alias] = self._failures.get(alias, 0) + 1
            pause = pause_after(failures, first=0.25, longest=LONGEST_PAUSE)
            self._retry_at[alias] = time.monotonic() + pause
            logger.warning(
                "%d slots for TASKS[%r] wait to be sent (try %d, next in %.1f s): %s",
                len(slots),
                alias,
                failures,
                pause,
                exc,
            )
        else:
            self._failures.pop(alias, None)
            self._retry_at.pop(alias, None)

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
        if now is not None:
            slots = self._without_doubtful(broker, backend, slots, now)
        if slots:
            broker.enqueue([job_from_text(slot.job or "") for slot in slots])
            self._mark(slots, SlotRow.SENT)

    def _is_whole(self, slot: SlotRow) -> bool:
        try:
            job_from_text(slot.job or "")
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
        job = job_from_text(slot.job or "")
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
