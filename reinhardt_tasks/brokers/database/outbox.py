"""Tasks on their way to another store, written in the caller's transaction and sent from here: at least once.

The store knows a job's id again, so what is sent twice is there once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connections, router, transaction

from ...exceptions import QueueError
from ...gates import Until, decode_limits, encode_limits
from ...jobs import Job, as_enqueued
from ...models import OutboxRow
from ...registry import registry
from ...timestamps import from_micros, to_micros
from ..base import Broker

logger = logging.getLogger("reinhardt_tasks")

#: Rows that are sent at once.
BATCH = 200


class Outbox:
    """The outbox of the backend `alias`, in front of `broker`. `database` None asks the project's router."""

    def __init__(self, alias: str, broker: Broker, database: str | None) -> None:
        self.alias = alias
        self.broker = broker
        self._database = database

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
        """Send what others have left behind; return how many jobs that were. Raise QueueError where the store is away."""
        number = 0
        while sent := self._send_some(OutboxRow.objects.using(self.database).filter(alias=self.alias)):
            number += sent
            if sent < BATCH:
                break
        return number

    def _send_now(self, ids: Sequence[str]) -> None:
        try:
            for start in range(0, len(ids), BATCH):
                some = ids[start : start + BATCH]
                self._send_some(OutboxRow.objects.using(self.database).filter(alias=self.alias, id__in=some))
        except QueueError as exc:
            logger.warning("%d tasks stay in the outbox until a worker sends them: %s", len(ids), exc)

    def _send_some(self, rows: Any) -> int:
        """Send rows and delete them in one transaction; rows that somebody else is sending are left."""
        features = connections[self.database].features
        lock = {"skip_locked": True} if features.has_select_for_update_skip_locked else {}
        with transaction.atomic(using=self.database):
            # SQLite has no locks on rows, and a transaction that only writes at its end would be late: there a row may be
            # sent by two at once, which is harmless.
            some = list(
                (rows.select_for_update(**lock) if features.has_select_for_update else rows).order_by("created_at")[
                    :BATCH
                ]
            )
            if some:
                self.broker.enqueue([job_from_text(row.job) for row in some])
                OutboxRow.objects.using(self.database).filter(pk__in=[row.pk for row in some]).delete()
        return len(some)


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
    """Return the job that `job_as_text` wrote."""
    values = json.loads(text)
    run_after, until = values.pop("run_after"), values.pop("once_until", None)
    return Job(
        run_after=None if run_after is None else from_micros(run_after),
        once_until=None if until is None else Until(until),
        limits=decode_limits(values.pop("limits", None)),
        # As it is here: versions before this one take no text that tells it.
        is_async=registry.is_async(values["name"]),
        **values,
    )
