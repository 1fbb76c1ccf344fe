"""Steps that are ready, on their way to their queues: in the transaction that made them ready, or after it."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from .._compat import task_backends
from ..aliases import backend_or_none
from ..brokers.sifting import send_all_that_can_be
from ..gates import decode_limits
from ..jobs import Job
from ..models import StepRow
from ..registry import registry
from ..workflow_states import StepStatus
from .ids import job_id_of
from .places import is_in_transaction, session

logger = logging.getLogger("reinhardt_tasks")

#: Jobs that are sent at once.
CHUNK = 1000


def job_of(row: StepRow) -> Job:
    """Return the job of a step's present round."""
    return Job(
        id=job_id_of(row),
        name=row.task,
        payload=row.payload,
        backend=row.alias,
        queue=row.queue,
        priority=row.priority,
        run_after=row.run_after,
        max_attempts=row.max_attempts,
        metadata=json.loads(row.metadata),
        limits=decode_limits(row.limits),
        is_async=registry.is_async(row.task),
    )


class Post:
    """Collects what a transaction of the database `using` makes ready. `leave` is called when that is over."""

    def __init__(self, using: str) -> None:
        self.using = using
        self._later: dict[str, list[StepRow]] = defaultdict(list)

    def clear(self) -> None:
        """Forget what was collected: the transaction is tried again."""
        self._later.clear()

    def take(self, rows: Sequence[StepRow], now: datetime) -> None:
        """Make rows ready, and send those whose queue takes part in the transaction. The rows are changed, not saved."""
        by_alias: dict[str, list[StepRow]] = defaultdict(list)
        for row in rows:
            by_alias[row.alias].append(row)
        for alias, some in by_alias.items():
            backend = backend_or_none(alias)
            joins = backend is not None and backend.commits_with(self.using)
            is_kept = backend is None or backend.keeps_jobs
            # An outbox is on the way only.
            is_there = joins and backend.broker.traits.is_transactional
            for row in some:
                row.status = StepStatus.READY.value
                row.ready_at = now
                row.is_sent = is_there
                row.look_at = now if is_kept else None
            if not joins:
                self._later[alias] += some
                continue
            for start in range(0, len(some), CHUNK):
                backend.enqueue_jobs([job_of(row) for row in some[start : start + CHUNK]])

    def leave(self) -> None:
        """Send the rest: now, or when the caller's transaction commits."""
        for alias, rows in self._later.items():
            backend = backend_or_none(alias)
            if backend is None:
                logger.error("TASKS has no backend %r any more: %d steps wait for it.", alias, len(rows))
                continue
            # What runs in the caller is not for a transaction's end in a TestCase, which never comes.
            at_once = not backend.keeps_jobs and not is_in_transaction(self.using)
            send = partial(send_quietly, alias, list(rows))
            if at_once:
                send()
            else:
                transaction.on_commit(send, using=self.using)
        self._later.clear()


def send_quietly(alias: str, rows: Sequence[StepRow]) -> None:
    """Send steps, all that can be; the others are sent by whoever looks after workflows: they are recorded as ready."""
    try:
        for start in range(0, len(rows), CHUNK):
            _send(task_backends[alias], rows[start : start + CHUNK])
    except Exception as exc:
        logger.warning("%d steps of a workflow could not be sent to %r yet: %s", len(rows), alias, exc)


def _send(backend: Any, rows: Sequence[StepRow]) -> None:
    jobs = [job_of(row) for row in rows]
    if not backend.keeps_jobs:
        # They run here: none of them twice.
        backend.enqueue_jobs(jobs)
        return
    unsent = send_all_that_can_be(jobs, backend.enqueue_jobs, backend.broker.part_of)
    if len(unsent.away) == len(jobs):
        raise unsent.away[jobs[0].id]
    if not backend.has_outbox:
        _note_sent([row for row, job in zip(rows, jobs, strict=True) if job.id not in unsent])
    if reasons := [*unsent.refused.values(), *unsent.away.values()]:
        words = "%d steps of a workflow could not be sent to %r yet: %s"
        logger.warning(words, len(reasons), backend.alias, reasons[0])


def _note_sent(rows: Sequence[StepRow]) -> None:
    """Record that steps are in their queue: one that is not found there later has been, and may have run."""
    place = session()
    for round_ in {row.round for row in rows}:
        same = StepRow.objects.using(place.alias).filter(
            pk__in=[row.pk for row in rows if row.round == round_], round=round_, status=StepStatus.READY.value
        )
        place.run(lambda cursor: same.update(is_sent=True))  # noqa: B023 - run at once
