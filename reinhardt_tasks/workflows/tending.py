"""What stands still is found and moved: steps that were never sent, and those whose end nobody has recorded.

Both are left behind by deaths between two writes, and the second by people who cancel or delete a step's task while it
waits. Every worker looks now and then; that two do it at once is harmless. `look_at` is a moment of whoever wrote it, so
clocks that differ only make a look early or late.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections, transaction

from ..jobs import Job, TaskStatus
from ..models import StepRow, WorkflowRow
from ..workflow_states import ACTIVE, ChainStatus, StepStatus
from .endings import Ending, ending_of_job, text_of
from .ids import job_id
from .places import database, session, steps_in
from .recording import make_ready, record
from .sending import Post, backend_of, job_of, send_quietly

logger = logging.getLogger("reinhardt_tasks")

#: Steps that one round looks at, and the longest pause between two looks at one.
BATCH, LONGEST_PAUSE = 200, timedelta(minutes=10)
#: Workflows that are forgotten at once, and the least seconds between two clearings.
FORGET_BATCH, FORGET_EVERY = 20, 60.0


def tend(patience: timedelta) -> int:
    """Look at steps that have been ready for longer than `patience`, and not been looked at lately; return how many."""
    rows = _due(patience)
    _look(rows)
    return len(rows)


def look_after(workflow: str) -> None:
    """Look at all open steps of one workflow now."""
    last = -1
    rows = steps_in(database(), workflow).filter(look_at__isnull=False).order_by("position")
    while some := list(rows.filter(position__gt=last)[:BATCH]):
        last = some[-1].position
        _look(some)


_forgotten_at = 0.0


def forget(keep: timedelta) -> int:
    """Delete workflows that ended longer than `keep` ago, once a minute at most; return how many."""
    global _forgotten_at
    if time.monotonic() - _forgotten_at < FORGET_EVERY and _forgotten_at:
        return 0
    _forgotten_at = time.monotonic()
    using = database()
    ended = WorkflowRow.objects.using(using).filter(finished_at__lt=datetime.now(UTC) - keep).order_by("finished_at")
    ids = list(ended.values_list("pk", flat=True)[:FORGET_BATCH])
    delete(ids)
    return len(ids)


def delete(workflows: Sequence[Any]) -> None:
    """Delete workflows with their steps. Tasks that are still in a queue are cancelled when a worker meets them."""
    using = database()
    for workflow in workflows:
        with transaction.atomic(using=using):
            steps_in(using, workflow)._raw_delete(using)
            WorkflowRow.objects.using(using).filter(pk=workflow)._raw_delete(using)


def _due(patience: timedelta) -> list[StepRow]:
    using, now = database(), datetime.now(UTC)
    rows = StepRow.objects.using(using).filter(look_at__lte=now - patience).order_by("look_at")
    # Most rounds end here, and SQLite's only lock is not taken for them.
    if not rows.exists():
        return []
    skips = connections[using].features.has_select_for_update_skip_locked

    def take(cursor: Any) -> list[StepRow]:
        some = list(rows.select_for_update(skip_locked=skips)[:BATCH])
        for row in some:
            age = now - (row.ready_at or now)
            # The older it is, the more rarely: a queue may be long. Whoever dies now leaves it to the next look.
            row.look_at = now - patience + min(LONGEST_PAUSE, max(patience, age / 2))
        StepRow.objects.using(using).bulk_update(some, ["look_at"])
        return some

    return session().run(take, together=True)


def _look(rows: Sequence[StepRow]) -> None:
    by_alias: dict[str, list[StepRow]] = defaultdict(list)
    for row in rows:
        if row.status == StepStatus.WAITING:
            _reconsider(row)
        elif row.status == StepStatus.READY:
            by_alias[row.alias].append(row)
    if not by_alias:
        return
    workflows = {row.workflow_id for some in by_alias.values() for row in some}
    statuses = WorkflowRow.objects.using(database()).filter(pk__in=workflows).values_list("pk", "status")
    state = {pk: ChainStatus(status) for pk, status in statuses}
    for alias, some in by_alias.items():
        backend = backend_of(alias)
        if backend is None:
            logger.warning("TASKS has no backend %r any more: %d steps of workflows wait for it.", alias, len(some))
            continue
        jobs = backend.broker.get([job_id(row.workflow_id, row.position, row.round) for row in some])
        _compare(alias, backend, some, jobs, state)


def _compare(
    alias: str, backend: Any, rows: Sequence[StepRow], jobs: dict[str, Job], state: dict[Any, ChainStatus]
) -> None:
    """Record what has ended unseen, send what is not there, cancel what nobody wants."""
    unsent: list[Job] = []
    unwanted: list[str] = []
    seen: list[Any] = []
    for row in rows:
        status = state.get(row.workflow_id)
        id_ = job_id(row.workflow_id, row.position, row.round)
        job = jobs.get(id_)
        if job is None and status in ACTIVE and not row.is_sent:
            unsent.append(job_of(row))
        elif job is None:
            _record(row, id_, _gone())
        elif job.status.is_finished:
            _record(row, id_, ending_of_job(job))
        elif status is ChainStatus.CANCELLED or status is ChainStatus.FAILED and job.status is not TaskStatus.RUNNING:
            unwanted.append(id_)
        elif not row.is_sent:
            seen.append(row.pk)
    if seen:
        StepRow.objects.using(database()).filter(pk__in=seen).update(is_sent=True)
    if unsent:
        logger.warning("%d steps of workflows were ready and not in their queue: they are sent now.", len(unsent))
        send_quietly(alias, unsent)
    if unwanted:
        _cancel(backend, rows, unwanted)


def _cancel(backend: Any, rows: Sequence[StepRow], ids: Sequence[str]) -> None:
    backend.cancel(ids)
    # Those that waited have ended by this; those that run tell of their end themselves.
    jobs = backend.broker.get(ids)
    for row in rows:
        id_ = job_id(row.workflow_id, row.position, row.round)
        if id_ in jobs and jobs[id_].status.is_finished:
            _record(row, id_, ending_of_job(jobs[id_]))


def _record(row: StepRow, id_: str, ending: Ending) -> None:
    logger.info("Workflow id=%s: step %s has ended unseen as %s", row.workflow_id, row, ending.status)
    record(str(row.workflow_id), row.position, id_, ending)


def _gone() -> Ending:
    text = text_of("reinhardt_tasks.exceptions.TaskNotFound", "Its task was deleted before it ended.")
    return Ending(status=StepStatus.CANCELLED, error=text)


def _reconsider(row: StepRow) -> None:
    """Decide about a step that became free while its workflow was ended, or was being retried: with that held still."""
    place = session()
    post = Post(place.alias)

    def work(cursor: Any) -> None:
        post.clear()
        now = datetime.now(UTC)
        flow = WorkflowRow.objects.using(place.alias).select_for_update().filter(pk=row.workflow_id).first()
        step = StepRow.objects.using(place.alias).filter(pk=row.pk, status=StepStatus.WAITING.value, open_needs=0)
        if flow is not None and flow.status in ACTIVE:
            make_ready(place.alias, str(row.workflow_id), list(step), post, now)
        else:
            step.update(look_at=None)

    place.run(work, together=True)
    post.leave()
