"""A step's job as its worker meets it: asked before it runs, told before it is settled."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections

from ..aliases import backend_or_none
from ..bare_outcomes import attempt_of
from ..exception_text import log_exception
from ..exceptions import QueueError, TaskCancelled
from ..jobs import Cancelled, Claim, Failed, Outcome, Succeeded, TaskStatus
from ..models import StepRow, WorkflowRow
from ..redaction import cleaner, may_hide
from ..workflow_states import ACTIVE, ChainStatus, StepStatus
from .endings import Ending, error_text
from .ids import job_id, step_id
from .placeholders import put
from .places import database, steadily
from .reading import values_of
from .recording import ending_of, record
from .tending import forget, tend

logger = logging.getLogger("reinhardt_tasks")


class StepFollower:
    """Follows the jobs that are steps of workflows."""

    def begin(self, claim: Claim, note: Any, args: list[Any], kwargs: dict[str, Any]) -> Outcome | None:
        """Put results in their places. Return the recorded outcome of a step that has ended, or a cancellation where nobody
        wants the step any more."""
        return steadily(lambda using: self._begin(using, claim, note, [args, kwargs]))

    def _begin(self, using: str, claim: Claim, note: Any, call: list[Any]) -> Outcome | None:
        workflow, position = note["id"], note["step"]
        rows = StepRow.objects.using(using).filter(pk=step_id(workflow, position))
        found = next(iter(rows.values_list("status", "round", "workflow__status")), None)
        if found is None:
            return _cancelled(claim, f"Workflow {workflow} is deleted, or was started anew without this step.")
        status, round_, state = found
        if job_id(workflow, position, round_) != claim.job.id:
            return _cancelled(claim, f"This step of workflow {workflow} was started anew, by another task.")
        if StepStatus(status).is_finished:
            logger.info("Task id=%s path=%s has ended before: that is settled now.", claim.job.id, claim.job.name)
            return _outcome(claim, ending_of(rows.get()))
        if state not in ACTIVE:
            return self.ended(note, _cancelled(claim, f"Workflow {workflow} is {state}."))
        if state == ChainStatus.PENDING:
            WorkflowRow.objects.using(using).filter(pk=workflow, status=ChainStatus.PENDING.value).update(
                status=ChainStatus.RUNNING.value, started_at=datetime.now(UTC)
            )
        _fill(note, call)
        return None

    def ended(self, note: Any, outcome: Outcome) -> Outcome:
        """Record a step's end; see Follower.ended().

        Where the database fails, the outcome is settled all the same: it then stands in the queue, where whoever looks after
        workflows finds it. So nothing runs twice, and the workflow goes on when the database is back.
        """
        job = outcome.claim.job
        try:
            if not isinstance(outcome, Succeeded) and not _is_held(outcome.claim):
                # Its lease ran out, and the step runs elsewhere: what becomes of it there counts. (A success is one, though.)
                return outcome
            recorded = record(note["id"], note["step"], job.id, _ending(outcome))
        except QueueError as exc:
            logger.warning("Task id=%s path=%s: its workflow hears of its end later: %s", job.id, job.name, exc)
            return outcome
        except Exception:
            # While the task's own exception is being handled: it is told along.
            words = "Task id=%s path=%s: its workflow could not be told of its end."
            log_exception(words, job.id, job.name, cleaner=lambda: cleaner(job) if may_hide(job.name) else None)
            return outcome
        if recorded is None or recorded.status is _ending(outcome).status:
            return outcome
        return _outcome(outcome.claim, recorded)

    def joins(self) -> bool:
        return bool(connections[database()].in_atomic_block)

    def tend(self, patience: timedelta, keep: timedelta | None) -> None:
        """See Follower.tend()."""

        def look(using: str) -> None:
            tend(patience)
            if keep is not None:
                forget(keep)

        steadily(look)


def _is_held(claim: Claim) -> bool:
    """Return whether a claim is still its worker's, as far as can be told before it is settled."""
    backend = backend_or_none(claim.job.backend)
    if backend is None or not backend.keeps_jobs:
        return True
    job = backend.broker.get([claim.job.id]).get(claim.job.id)
    return job is not None and job.token == claim.token and job.status is TaskStatus.RUNNING


def _fill(note: Any, call: list[Any]) -> None:
    if places := note.get("places"):
        for (path, _), value in zip(places, values_of(note["id"], [source for _, source in places]), strict=True):
            put(call, path, value)


def _ending(outcome: Outcome) -> Ending:
    job = outcome.claim.job
    facts: dict[str, Any] = {
        "attempts": len(job.history) + 1,
        "started_at": job.first_started_at or job.started_at,
        "finished_at": datetime.now(UTC),
    }
    match outcome:
        case Succeeded(result=result):
            return Ending(status=StepStatus.SUCCESS, result=result, **facts)
        case Failed(attempt=attempt):
            return Ending(status=StepStatus.FAILURE, error=error_text(attempt), **facts)
        case Cancelled(attempt=attempt):
            return Ending(status=StepStatus.CANCELLED, error=error_text(attempt), **facts)
        case _:
            raise AssertionError(f"{outcome!r} is not final.")


def _outcome(claim: Claim, ending: Ending) -> Outcome:
    """Return a recorded ending as the outcome of a claim."""
    if ending.status is StepStatus.SUCCESS:
        return Succeeded(claim=claim, result=ending.result or "null")
    error = json.loads(ending.error or "{}")
    cancelled = _cancelled(claim, "The step was cancelled.")
    attempt = replace(
        cancelled.attempt,
        exception=error.get("exception", cancelled.attempt.exception),
        traceback=error.get("traceback", cancelled.attempt.traceback),
    )
    if ending.status is StepStatus.FAILURE:
        return Failed(claim=claim, attempt=attempt)
    return Cancelled(claim=claim, attempt=attempt)


def _cancelled(claim: Claim, why: str) -> Cancelled:
    return Cancelled(claim=claim, attempt=attempt_of(claim, TaskCancelled(why)))
