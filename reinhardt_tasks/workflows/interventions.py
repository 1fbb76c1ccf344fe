"""What people do to a workflow: cancel it, retry it, retry it from where it failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from ..exceptions import WorkflowNotFound
from ..jobs import TaskId
from ..models import StepRow, WorkflowRow
from ..workflow_states import ACTIVE, ENDED, ChainStatus, StepStatus
from .expanding import fold
from .ids import step_id
from .places import database, session, steps_in
from .recording import finish, make_ready
from .sending import Post
from .tending import look_after

logger = logging.getLogger("reinhardt_tasks")

#: What a step loses when it is to run again.
_ANEW: dict[str, Any] = {
    "result": None,
    "error": None,
    "attempts": 0,
    "is_through": False,
    "is_sent": False,
    "look_at": None,
    "ready_at": None,
    "started_at": None,
    "finished_at": None,
}


def cancel(workflow: str) -> bool:
    """End a workflow: nothing of it begins any more, waiting tasks are cancelled, running ones told to stop.

    Return False where it has ended before; what still waits or runs of it is cancelled even so.
    """
    using, now = database(), datetime.now(UTC)
    found(workflow)
    done = finish(using, workflow, ChainStatus.CANCELLED, now)
    if not done:
        WorkflowRow.objects.using(using).filter(pk=workflow, status=ChainStatus.FAILED.value).update(
            status=ChainStatus.CANCELLED.value
        )

    def stop() -> None:
        try:
            look_after(workflow)
        except Exception as exc:
            logger.warning("Workflow id=%s is cancelled; its tasks hear of that later: %s", workflow, exc)

    transaction.on_commit(stop, using=using)
    return done


def retry(workflow: str) -> bool:
    """Run a workflow that has ended again from its beginning; return False for one that has not ended.

    Results are forgotten, and with them the members of steps with `for_each`. Tasks of the last time that are still running
    end without being heard.
    """

    def reset(using: str, post: Post, now: datetime) -> None:
        rows = steps_in(using, workflow)
        fold(using, workflow)
        rows.update(status=StepStatus.WAITING.value, open_needs=F("needs"), round=F("round") + 1, **_ANEW)
        first = list(rows.filter(needs=0, is_gate=False).only("id"))
        make_ready(using, workflow, first, post, now)
        if not first:
            finish(using, workflow, ChainStatus.COMPLETED, now)

    return _anew(workflow, reset, ENDED)


def retry_failed(workflow: str) -> bool:
    """Let a workflow that failed or was cancelled go on: steps that stopped it run again, those that succeeded do not.

    Return False for one that did not fail. A step whose failure let the workflow carry on keeps that; where the handler of
    a failure failed, the step itself runs again.
    """

    def reset(using: str, post: Post, now: datetime) -> None:
        rows = steps_in(using, workflow).filter(is_gate=False)
        stopped = [StepStatus.FAILURE.value, StepStatus.CANCELLED.value]
        failed = list(rows.filter(status__in=stopped, is_through=False).only("id", "workflow_id", "position", "guards"))
        failed = _with_guarded(using, workflow, failed)
        ids = [row.pk for row in failed if row.guards is None]
        for start in range(0, len(ids), 500):
            some = rows.filter(pk__in=ids[start : start + 500])
            some.update(status=StepStatus.WAITING.value, open_needs=0, round=F("round") + 1, **_ANEW)
        make_ready(using, workflow, list(rows.filter(status=StepStatus.WAITING.value, open_needs=0)), post, now)
        # What is under way may have been cancelled; whoever looks after it will see.
        rows.filter(status=StepStatus.READY.value, look_at__isnull=False).update(look_at=now)
        end = steps_in(using, workflow).order_by("-position").first()
        if end is not None and end.is_through:
            finish(using, workflow, ChainStatus.COMPLETED, now)

    done = _anew(workflow, reset, (ChainStatus.FAILED, ChainStatus.CANCELLED))
    if done:
        transaction.on_commit(lambda: _look_quietly(workflow), using=database())
    return done


def found(workflow: str) -> WorkflowRow:
    """Return a workflow's row. Raise WorkflowNotFound."""
    try:
        return WorkflowRow.objects.using(database()).get(pk=TaskId(workflow))
    except (WorkflowRow.DoesNotExist, ValueError):
        raise WorkflowNotFound(
            _(
                "There is no workflow {id}: it never was, its transaction was rolled back, or it was deleted after its time."
            ).format(id=repr(workflow))
        ) from None


def _with_guarded(using: str, workflow: str, failed: Sequence[StepRow]) -> list[StepRow]:
    """Return with each failed handler the step whose failure it handled, and let the handler wait for that again."""
    together = list(failed)
    for row in failed:
        guard: StepRow | None = row
        while guard is not None and guard.guards is not None:
            StepRow.objects.using(using).filter(pk=guard.pk).update(
                status=StepStatus.WAITING.value, open_needs=F("open_needs") + 1, round=F("round") + 1, **_ANEW
            )
            guard = StepRow.objects.using(using).filter(pk=step_id(workflow, guard.guards)).first()
            if guard is not None:
                together.append(guard)
    return together


def _anew(workflow: str, reset: Callable[[str, Post, datetime], None], of: Sequence[ChainStatus]) -> bool:
    found(workflow)
    place = session()
    post = Post(place.alias)

    def work(cursor: Any) -> bool:
        post.clear()
        flow = WorkflowRow.objects.using(place.alias).select_for_update().get(pk=workflow)
        if flow.status in ACTIVE or flow.status not in of:
            return False
        WorkflowRow.objects.using(place.alias).filter(pk=workflow).update(
            status=ChainStatus.RUNNING.value, finished_at=None
        )
        reset(place.alias, post, datetime.now(UTC))
        return True

    done = place.run(work, together=True)
    post.leave()
    return done


def _look_quietly(workflow: str) -> None:
    try:
        look_after(workflow)
    except Exception as exc:
        logger.warning("Workflow id=%s is looked after later: %s", workflow, exc)
