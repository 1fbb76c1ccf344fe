"""Tasks on their way to another store, written in the caller's transaction and sent from here: at least once.

The store knows a job's id again, so what is sent twice is there once. What it does not take, or this version cannot read, is
set aside: it keeps nobody, and is tried again, above all by the next version. So is what belongs to a shard that is away.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, Error, router, transaction

from ...exceptions import JobsRefused, QueueError
from ...gates import Until, decode_limits, encode_limits
from ...jobs import Job, as_enqueued
from ...models import OutboxRow
from ...registry import registry
from ...texts import is_storable
from ...timestamps import from_micros, to_micros
from ..base import Broker
from ..sifting import send_all_that_can_be
from .session import Session, migrate_hint

logger = logging.getLogger("reinhardt_tasks")

#: Rows that are sent at once, and seconds between two tries at those that are set aside; a process begins with one.
BATCH, ASIDE_EVERY = 200, 60.0
#: Seconds of one relay, however much lies there: whoever relays has other things to do, and comes again.
RELAY_FOR = 1.0
#: How far in the future the `created_at` of a row lies that is set aside, counted from its last try: behind all others.
ASIDE = timedelta(days=365_000)


class Outbox:
    """The outbox of the backend `alias`, in front of `broker`. `database` None asks the project's router."""

    def __init__(self, alias: str, broker: Broker, database: str | None) -> None:
        self.alias = alias
        self.broker = broker
        self._database = database
        self._aside_at = 0.0
        #: How far the next relay goes, where the last one was not at its end.
        self._until: datetime | None = None

    @property
    def database(self) -> str:
        return self._database or router.db_for_write(OutboxRow) or "default"

    def send(self, jobs: Sequence[Job]) -> list[Job]:
        """Write jobs in the caller's transaction; send them when it commits. A store that is away is no error here."""
        now = datetime.now(UTC)
        with transaction.atomic(using=self.database):
            OutboxRow.objects.using(self.database).bulk_create(
                [OutboxRow(id=job.id, alias=self.alias, job=job_as_text(job), created_at=now) for job in jobs],
                batch_size=500,
                # One that lies here already is not on its way twice: what it was sent for again is to get it there.
                ignore_conflicts=True,
            )
            transaction.on_commit(lambda: self._send_now([job.id for job in jobs]), using=self.database)
        return [as_enqueued(job, now) for job in jobs]

    def relay(self) -> int:
        """Send what others have left behind, for RELAY_FOR seconds; return how many jobs that were.

        Raise QueueError where the store is away.
        """
        number = 0
        ends_at = time.monotonic() + RELAY_FOR
        # What is set aside comes last; and what fails anew comes behind that, so each is tried once.
        until = self._until or datetime.now(UTC) + (ASIDE if self._is_time_for_those_aside() else ASIDE / 2)
        self._until = None
        while True:
            try:
                looked_at, sent = self._send_some(self._rows(), until)
            except DatabaseError as exc:
                if not Session(self.database).dialect.is_conflict(exc):
                    raise
                # Others who relay do it: on MariaDB and MySQL those who delete side by side may meet in a deadlock.
                return number
            number += sent
            if looked_at < BATCH:
                return number
            if time.monotonic() >= ends_at:
                self._until = until
                return number

    def aside(self) -> int:
        """Return how many jobs are set aside, up to BATCH of them. Raise QueueError where the database cannot say."""
        rows = self._rows().filter(created_at__gt=datetime.now(UTC) + ASIDE / 2)
        try:
            number: int = rows[:BATCH].count()
        except Error as exc:
            raise QueueError(
                f"The outbox in the database {self.database!r} could not be read: {exc}.{migrate_hint(str(exc), self.database)}"
            ) from exc
        return number

    def _rows(self) -> Any:
        return OutboxRow.objects.using(self.database).filter(alias=self.alias)

    def _is_time_for_those_aside(self) -> bool:
        if time.monotonic() < self._aside_at:
            return False
        self._aside_at = time.monotonic() + ASIDE_EVERY
        return True

    def _send_now(self, ids: Sequence[str]) -> None:
        try:
            for start in range(0, len(ids), BATCH):
                some = self._rows().filter(id__in=ids[start : start + BATCH])
                self._send_some(some, datetime.now(UTC) + ASIDE, keeps_away=True)
        except (QueueError, Error) as exc:
            # The transaction is committed, and others wait for that: nothing may come out of here. A database says here that it
            # is locked, or that the connection went.
            logger.warning("%d tasks stay in the outbox until a worker sends them: %s", len(ids), exc)

    def _send_some(self, rows: Any, until: datetime, *, keeps_away: bool = False) -> tuple[int, int]:
        """Send rows `until` a moment and delete them in one transaction; rows that somebody else is sending are left.

        What cannot be sent is set aside; what belongs to a part that is away keeps its place where `keeps_away` says so, for
        whoever relays in a moment. Return how many rows were looked at, and how many of them sent.
        """
        with transaction.atomic(using=self.database):
            # SQLite has no locks on rows, and a transaction that only writes at its end would be late: there a row may be
            # sent by two at once, which is harmless.
            some = list(rows.select_for_update(skip_locked=True).order_by("created_at")[:BATCH])
            # Not in the statement: MariaDB and MySQL lock gaps for a range, and relays that compete would meet in a deadlock.
            some = [row for row in some if row.created_at < until]
            faults = self._enqueue(some)
            if sent := [row.pk for row in some if row.pk not in faults]:
                OutboxRow.objects.using(self.database).filter(pk__in=sent).delete()
            if aside := [key for key, exc in faults.items() if not (keeps_away and _is_away(exc))]:
                kept = OutboxRow.objects.using(self.database).filter(pk__in=aside)
                kept.update(created_at=datetime.now(UTC) + ASIDE)
        self._tell({row.pk: faults[row.pk] for row in some if row.pk in faults and not _is_aside(row)})
        return len(some), len(sent)

    def _tell(self, faults: Mapping[Any, Exception]) -> None:
        away = [exc for exc in faults.values() if _is_away(exc)]
        if away:
            logger.warning("%d tasks stay in the outbox until their part of the store is back: %s", len(away), away[0])
        for key, exc in faults.items():
            if exc not in away:
                logger.error(
                    "Task id=%s cannot be sent to TASKS[%r]. It is kept in the outbox and tried again now and then: %s",
                    key,
                    self.alias,
                    exc,
                )

    def _enqueue(self, rows: Sequence[OutboxRow]) -> dict[Any, Exception]:
        """Send the jobs of rows; return what keeps single ones from being sent, by their keys.

        Raise QueueError where the store is away as a whole.
        """
        faults: dict[Any, Exception] = {}
        jobs: dict[Any, Job] = {}
        for row in rows:
            try:
                jobs[row.pk] = job_from_text(row.job)
            except ValueError as exc:
                faults[row.pk] = exc
        unsent = send_all_that_can_be(list(jobs.values()), self.broker.enqueue, self.broker.part_of)
        for key, job in jobs.items():
            if job.id in unsent.refused:
                faults[key] = unsent.refused[job.id]
            elif job.id in unsent.away:
                if self.broker.part_of(job) is None:
                    raise unsent.away[job.id]
                # The others go on; set aside, these do not come first every time.
                faults[key] = unsent.away[job.id]
        return faults


def _is_away(exc: Exception) -> bool:
    """Return whether a store, or a part of it, did not answer; else it does not take this."""
    return isinstance(exc, QueueError) and not isinstance(exc, JobsRefused)


def _is_aside(row: OutboxRow) -> bool:
    return row.created_at > datetime.now(UTC) + ASIDE / 2


def job_as_text(job: Job) -> str:
    """Return a new job as text, for a table in which it waits to be sent."""
    return json.dumps(
        {
            "id": job.id,
            "name": job.name,
            "payload": job.payload,
            "backend": job.backend,
            "queue": job.queue,
            "priority": job.priority,
            "run_after": None if job.run_after is None else to_micros(job.run_after),
            "once_key": job.once_key,
            "once_until": job.once_until,
            "limits": encode_limits(job.limits),
            "debounce": job.debounce,
            "max_wait": job.max_wait,
            "max_attempts": job.max_attempts,
            "metadata": dict(job.metadata),
        }
    )


def job_from_text(text: str) -> Job:
    """Return the job that `job_as_text` wrote. Raise ValueError for a text that is damaged, or that a later version wrote."""
    try:
        values = json.loads(text)
        run_after, until = values.pop("run_after"), values.pop("once_until", None)
        if not is_storable(values["queue"]):
            # Some clients of Redis would put another letter there, and so the task into a queue that nobody serves.
            raise ValueError(f"no queue can be called {values['queue']!r}")
        return Job(
            run_after=None if run_after is None else from_micros(run_after),
            once_until=None if until is None else Until(until),
            limits=decode_limits(values.pop("limits", None)),
            # As it is here: versions before this one take no text that tells it.
            is_async=registry.is_async(values["name"]),
            **values,
        )
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as exc:
        raise ValueError(f"What is kept of the task cannot be read by this version: {exc!r}") from exc
