"""Finished jobs of another store, kept as rows among the database's own, where everything that shows those shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import Error, connections, router

from ...exceptions import QueueError
from ...jobs import Job
from ...models import JobRow
from ...serialization import encode_history, encode_progress
from .rows import limits_text

_UPDATED = [
    "status",
    "token",
    "metadata",
    "progress",
    "history",
    "result",
    "log",
    "cancel_requested",
    "worker",
    "started_at",
    "last_attempted_at",
    "finished_at",
]


def archive(jobs: Sequence[Job], database: str | None = None) -> None:
    """Write finished jobs, in place of what was written of them before. Raise QueueError where the database fails."""
    using = database or router.db_for_write(JobRow) or "default"
    rows = [_row(job) for job in jobs]
    vendor_targets: dict[str, Any] = {} if _is_mysql(using) else {"unique_fields": ["id"]}
    try:
        JobRow.objects.using(using).bulk_create(
            rows,
            batch_size=500,
            update_conflicts=True,
            update_fields=_UPDATED,
            **vendor_targets,
        )
    except Error as exc:
        raise QueueError(f"The archive in the database {using!r} failed: {exc}") from exc


def _is_mysql(using: str) -> bool:
    return connections[using].vendor == "mysql"


def _row(job: Job) -> JobRow:
    now = datetime.now(UTC)
    return JobRow(
        id=job.id,
        alias=job.backend,
        name=job.name,
        queue=job.queue,
        precedence=-job.priority,
        payload=job.payload,
        status=job.status.value,
        token=job.token,
        max_attempts=job.max_attempts,
        # For a revival. Its key is free.
        once_until=None if job.once_until is None else job.once_until.value,
        limits=limits_text(job.limits),
        is_async=job.is_async,
        metadata=json.dumps(dict(job.metadata)),
        progress=encode_progress(job.progress),
        history=encode_history(job.history) if job.history else None,
        result=job.result,
        log=job.log,
        cancel_requested=job.cancel_requested,
        worker=job.worker,
        run_after=job.run_after,
        enqueued_at=job.enqueued_at or now,
        due_at=job.due_at or now,
        started_at=job.first_started_at,
        last_attempted_at=job.started_at,
        finished_at=job.finished_at or now,
    )
