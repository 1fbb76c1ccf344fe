"""What became of a step, and what follows from it, in one transaction: the place where a workflow moves on.

Rows are locked in the order of their positions, which is the order of the graph: recordings do not wait for each other in
a ring. (Gates that open one behind another may break that order; a deadlock is tried again.) The cost of a member of a
group is the same whatever the group's size: its own row, and the counter of its gate.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.models import F

from ..exceptions import InvalidWorkflow, QueueError
from ..models import StepRow, WorkflowRow
from ..workflow_states import ACTIVE, ChainStatus, StepStatus
from .endings import Ending, text_of
from .expanding import expand
from .ids import job_id, step_id
from .places import session
from .sending import Post
from .steps import STOP

logger = logging.getLogger("reinhardt_tasks")

#: Seconds before each further try where the database fails. Then the step is settled without a record, which whoever looks
#: after workflows makes good.
PAUSES = (0.1, 0.5, 2.0)
#: Rows named in one statement.
CHUNK = 500


def record(workflow: str, position: int, job: str, ending: Ending) -> Ending | None:
    """Record how the job of a step has ended and move on; return what is on record: this, or an earlier ending.

    None where the job is no step any more: its workflow is deleted, or another job has taken its place. Raise QueueError
    where the database fails. Inside of a transaction of that database this is part of it.
    """
    place = session()
    post = Post(place.alias)

    def work(cursor: Any) -> Ending | None:
        post.clear()
        return _record(place.alias, workflow, position, job, ending, post)

    pauses = iter(() if connections[place.alias].in_atomic_block else PAUSES)
    while True:
        try:
            recorded = place.run(work, together=True)
        except QueueError:
            # It may have been written, and only the answer lost: then that is found on record.
            if (pause := next(pauses, None)) is None:
                raise
            time.sleep(pause)
        else:
            post.leave()
            return recorded


def _record(using: str, workflow: str, position: int, job: str, ending: Ending, post: Post) -> Ending | None:
    rows = StepRow.objects.using(using).filter(pk=step_id(workflow, position))
    locked = rows.select_for_update().only("id", "status", "round", "on_failure", "followers")
    row = next(iter(locked), None)
    if row is None or job_id(workflow, position, row.round) != job:
        return None
    if StepStatus(row.status).is_finished:
        return ending_of(rows.get())
    has_failed = ending.status is not StepStatus.SUCCESS
    is_active = not has_failed or is_still_active(using, workflow)
    is_through = is_active and not (has_failed and row.on_failure == STOP)
    now = datetime.now(UTC)
    rows.update(
        status=ending.status.value,
        result=ending.result,
        error=ending.error,
        attempts=ending.attempts,
        started_at=ending.started_at,
        finished_at=ending.finished_at or now,
        is_through=is_through,
        look_at=None,
    )
    if is_through:
        move_on(using, workflow, [(position, json.loads(row.followers))], post, now)
    elif is_active:
        finish(using, workflow, ChainStatus.FAILED, now)
    return ending


def ending_of(row: StepRow) -> Ending:
    """Return what is on record."""
    return Ending(
        status=StepStatus(row.status),
        result=row.result,
        error=row.error,
        attempts=row.attempts,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def move_on(using: str, workflow: str, ended: Sequence[tuple[int, Sequence[int]]], post: Post, now: datetime) -> None:
    """Count down what follows those that have ended; open gates; make steps ready. Call inside of a transaction."""
    while ended:
        told = Counter(follower for _, followers in ended for follower in followers)
        opened: list[StepRow] = []
        for rows in _locked(using, workflow, sorted(told)):
            _count_down(using, rows, told)
            opened += [row for row in rows if row.open_needs <= told[row.position]]
        gates = [row for row in opened if row.is_gate]
        spared = _spared(using, workflow, opened)
        _close(using, gates, StepStatus.SUCCESS, now)
        _close(using, spared, StepStatus.SKIPPED, now)
        expanded = _send(using, workflow, [row for row in opened if not row.is_gate and row not in spared], post, now)
        ended = [(row.position, json.loads(row.followers)) for row in (*gates, *spared, *expanded)]
        if any(not followers for _, followers in ended):
            # Only the gate at the end has nothing behind it.
            finish(using, workflow, ChainStatus.COMPLETED, now)


def make_ready(using: str, workflow: str, rows: Sequence[StepRow], post: Post, now: datetime) -> None:
    """Let steps that wait for nothing any more be run, if their workflow still goes on. Call inside of a transaction."""
    expanded = _send(using, workflow, rows, post, now)
    move_on(using, workflow, [(row.position, json.loads(row.followers)) for row in expanded], post, now)


def _send(using: str, workflow: str, rows: Sequence[StepRow], post: Post, now: datetime) -> list[StepRow]:
    """Do as `make_ready`; return the steps whose members were sent in their place. These have ended."""
    if not rows:
        return []
    ids = [row.pk for row in rows]
    if not is_still_active(using, workflow):
        # Somebody may let it go on at this very moment, and not see these rows: who looks after it will.
        _update(using, ids, look_at=now)
        return []
    expanded = []
    for start in range(0, len(ids), CHUNK):
        some = list(StepRow.objects.using(using).filter(pk__in=ids[start : start + CHUNK]).order_by("position"))
        single = [row for row in some if row.over is None]
        post.take(single, now)
        kinds = {(row.is_sent, row.look_at) for row in single}
        for is_sent, look_at in kinds:
            same = [row.pk for row in single if (row.is_sent, row.look_at) == (is_sent, look_at)]
            _update(using, same, status=StepStatus.READY.value, ready_at=now, is_sent=is_sent, look_at=look_at)
        for row in some:
            if row.over is not None:
                problem = expand(using, row, post, now)
                if problem is None:
                    expanded.append(row)
                else:
                    _fail(using, row, problem, now)
    return expanded


def _fail(using: str, row: StepRow, problem: str, now: datetime) -> None:
    """Record that a step has no members to run, and cannot have any: its workflow stops."""
    error = text_of(InvalidWorkflow(problem))
    _update(using, [row.pk], status=StepStatus.FAILURE.value, error=error, finished_at=now, look_at=None)
    logger.warning("Workflow id=%s: %s", row.workflow_id, problem)
    finish(using, str(row.workflow_id), ChainStatus.FAILED, now)


def is_still_active(using: str, workflow: str) -> bool:
    status = WorkflowRow.objects.using(using).filter(pk=workflow).values_list("status", flat=True).first()
    return status in ACTIVE


def finish(using: str, workflow: str, status: ChainStatus, now: datetime) -> bool:
    """End a workflow; return False where it has ended before."""
    active = WorkflowRow.objects.using(using).filter(pk=workflow, status__in=[each.value for each in ACTIVE])
    if not active.update(status=status.value, finished_at=now):
        return False
    logger.log(
        logging.INFO if status is ChainStatus.COMPLETED else logging.WARNING, "Workflow id=%s is %s", workflow, status
    )
    return True


def _locked(using: str, workflow: str, positions: Sequence[int]) -> Iterator[list[StepRow]]:
    for start in range(0, len(positions), CHUNK):
        ids = [step_id(workflow, position) for position in positions[start : start + CHUNK]]
        rows = StepRow.objects.using(using).filter(pk__in=ids).select_for_update().order_by("position")
        yield list(rows.only("id", "workflow_id", "position", "is_gate", "open_needs", "followers", "guards"))


def _count_down(using: str, rows: Sequence[StepRow], told: Counter[int]) -> None:
    for number in {told[row.position] for row in rows}:
        ids = [row.pk for row in rows if told[row.position] == number]
        StepRow.objects.using(using).filter(pk__in=ids).update(open_needs=F("open_needs") - number)


def _spared(using: str, workflow: str, opened: Sequence[StepRow]) -> list[StepRow]:
    """Return the handlers whose failure did not happen."""
    guarded = {row.guards for row in opened if row.guards is not None}
    if not guarded:
        return []
    failed = set(
        StepRow.objects.using(using)
        .filter(
            pk__in=[step_id(workflow, position) for position in guarded],
            status__in=[StepStatus.FAILURE.value, StepStatus.CANCELLED.value],
        )
        .values_list("position", flat=True)
    )
    return [row for row in opened if row.guards is not None and row.guards not in failed]


def _close(using: str, rows: Sequence[StepRow], status: StepStatus, now: datetime) -> None:
    if rows:
        _update(using, [row.pk for row in rows], status=status.value, is_through=True, finished_at=now, look_at=None)


def _update(using: str, ids: Sequence[Any], **values: Any) -> None:
    for start in range(0, len(ids), CHUNK):
        StepRow.objects.using(using).filter(pk__in=ids[start : start + CHUNK]).update(**values)
