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
from enum import Enum
from typing import Any

from django.db import transaction

from ..aliases import backend_or_none
from ..brokers.sifting import by_part
from ..exceptions import QueueError, TaskCancelled, TaskNotFound
from ..jobs import Job, TaskStatus
from ..models import StepRow, WorkflowRow
from ..workflow_states import ACTIVE, ChainStatus, StepStatus
from .endings import Ending, ending_of_job, text_of
from .ids import job_id_of
from .places import database, is_any_before, session, steps_in
from .recording import make_ready, record
from .sending import Post, job_of, send_quietly

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
    using, before = database(), datetime.now(UTC) - keep
    if not is_any_before(using, WorkflowRow, "finished_at", before):
        return 0
    ended = WorkflowRow.objects.using(using).filter(finished_at__lte=before).order_by("finished_at")
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
    # Most rounds end here, and SQLite's only lock is not taken for them.
    if not is_any_before(using, StepRow, "look_at", now - patience):
        return []
    rows = StepRow.objects.using(using).filter(look_at__lte=now - patience).order_by("look_at")

    def take(cursor: Any) -> list[StepRow]:
        some = list(rows.select_for_update(skip_locked=True)[:BATCH])
        for row in some:
            age = now - (row.ready_at or now)
            # The older it is, the more rarely: a queue may be long. Whoever dies now leaves it to the next look.
            row.look_at = now - patience + min(LONGEST_PAUSE, max(patience, age / 2))
        StepRow.objects.using(using).bulk_update(some, ["look_at"])
        return some

    return session().run(take, together=True)


def _look(rows: Sequence[StepRow]) -> None:
    """Look at steps, at those of each store on their own: the next look at them may be minutes away."""
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
        backend = backend_or_none(alias)
        if backend is None:
            logger.warning("TASKS has no backend %r any more: %d steps of workflows wait for it.", alias, len(some))
            continue
        by_id = {job_id_of(row): row for row in some}
        for its in by_part(map(job_of, some), backend.broker.part_of).values():
            try:
                jobs = backend.broker.get([job.id for job in its])
                _compare(alias, backend, [by_id[job.id] for job in its], jobs, state)
            except QueueError as exc:
                logger.warning("%d steps of workflows on %r are looked after later: %s", len(its), alias, exc)


class _Finding(Enum):
    """What a look at a ready step comes to."""

    UNDER_WAY = "under way"
    UNSENT = "ready, and not in its queue"
    TAKEN_AWAY = "was in its queue, and is not there any more"
    ENDED = "has ended, and that is not on record"
    UNWANTED = "in its queue, though its workflow has ended"
    OVER = "will not run, since its workflow has ended"


def _finding(row: StepRow, job: Job | None, status: ChainStatus | None) -> _Finding:
    is_active = status in ACTIVE
    if job is None:
        if not is_active:
            return _Finding.OVER
        return _Finding.TAKEN_AWAY if row.is_sent else _Finding.UNSENT
    if job.status is TaskStatus.CANCELLED and not is_active:
        return _Finding.OVER
    if job.status.is_finished:
        return _Finding.ENDED
    if not is_active and (status is ChainStatus.CANCELLED or job.status.is_waiting):
        return _Finding.UNWANTED
    return _Finding.UNDER_WAY


def _compare(
    alias: str, backend: Any, rows: Sequence[StepRow], jobs: dict[str, Job], state: dict[Any, ChainStatus]
) -> None:
    """Record what has ended unseen, send what is not there, cancel what nobody wants."""
    found: dict[_Finding, list[StepRow]] = defaultdict(list)
    for row in rows:
        found[_finding(row, jobs.get(job_id_of(row)), state.get(row.workflow_id))].append(row)
    if seen := [row.pk for row in found[_Finding.UNDER_WAY] if not row.is_sent]:
        StepRow.objects.using(database()).filter(pk__in=seen).update(is_sent=True)
    if unsent := found[_Finding.UNSENT]:
        logger.warning("%d steps of workflows were ready and not in their queue: they are sent now.", len(unsent))
        send_quietly(alias, unsent)
    for row in found[_Finding.TAKEN_AWAY]:
        _record(row, _taken_away())
    for row in found[_Finding.ENDED]:
        _record(row, ending_of_job(jobs[job_id_of(row)]))
    _close(found[_Finding.OVER] + _cancelled(backend, found[_Finding.UNWANTED]))


def _cancelled(backend: Any, rows: Sequence[StepRow]) -> list[StepRow]:
    """Cancel the tasks of steps; return those that are over by this. Such as run are told to stop, and tell of their end."""
    if not rows:
        return []
    ids = [job_id_of(row) for row in rows]
    backend.cancel(ids)
    jobs = backend.broker.get(ids)
    return [row for row in rows if job_id_of(row) in jobs and jobs[job_id_of(row)].status is TaskStatus.CANCELLED]


def _close(rows: Sequence[StepRow]) -> None:
    """Record steps as cancelled whose workflows have ended: nothing follows, so it is one statement for many."""
    place = session()
    by_round: dict[tuple[Any, int], list[StepRow]] = defaultdict(list)
    for row in rows:
        by_round[(row.workflow_id, row.round)].append(row)
    for (workflow, round_), some in by_round.items():

        def work(
            cursor: Any, workflow: Any = workflow, round_: int = round_, ids: Sequence[Any] = [row.pk for row in some]
        ) -> bool:
            # Held still: nobody lets it go on in between.
            flow = WorkflowRow.objects.using(place.alias).select_for_update().filter(pk=workflow).first()
            if flow is not None and flow.status in ACTIVE:
                return False
            open_steps = StepRow.objects.using(place.alias).filter(
                pk__in=ids, round=round_, status=StepStatus.READY.value
            )
            open_steps.update(
                status=StepStatus.CANCELLED.value,
                error=text_of(TaskCancelled("Its workflow had ended before it began.")),
                finished_at=datetime.now(UTC),
                look_at=None,
            )
            return True

        if not place.run(work, together=True):
            for row in some:
                _record(row, _taken_away())


def _record(row: StepRow, ending: Ending) -> None:
    logger.info("Workflow id=%s: step %s has ended unseen as %s", row.workflow_id, row, ending.status)
    record(str(row.workflow_id), row.position, job_id_of(row), ending)


def _taken_away() -> Ending:
    return Ending(status=StepStatus.CANCELLED, error=text_of(TaskNotFound("Its task was deleted before it ended.")))


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
