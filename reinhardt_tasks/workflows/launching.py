"""How a workflow begins: all its rows, and the jobs of its first steps, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .._compat import InvalidTask
from ..arguments import stored_call
from ..exceptions import InvalidWorkflow
from ..gates import encode_limits
from ..jobs import Job
from ..models import StepRow, WorkflowRow
from ..serialization import dumps, encode_call
from ..workflow_states import HEADER, ChainStatus
from .ids import step_id
from .placeholders import Placeholder, places_in, without_placeholders
from .places import ROWS, session
from .plans import Plan, PlannedStep
from .recording import make_ready
from .sending import Post

if TYPE_CHECKING:
    from .flows import Flow
    from .runs import WorkflowRun


def start(flow: Flow) -> WorkflowRun:
    """Store and send a workflow; see Flow.start()."""
    from .runs import get_workflow

    plan = flow.plan()
    rows = _rows(flow.id, plan, jobs_of(flow.id, plan))
    place = session()
    post = Post(place.alias)

    def store(cursor: Any) -> None:
        post.clear()
        if WorkflowRow.objects.using(place.alias).filter(pk=flow.id).exists():
            return
        now = datetime.now(UTC)
        is_empty = len(rows) == 1
        WorkflowRow.objects.using(place.alias).create(
            id=flow.id,
            name=flow.name,
            status=(ChainStatus.COMPLETED if is_empty else ChainStatus.PENDING).value,
            steps=plan.number,
            output=json.dumps(plan.output),
            names=json.dumps(plan.names),
            created_at=now,
            started_at=now if is_empty else None,
            finished_at=now if is_empty else None,
        )
        first = [row for row in rows if not row.needs and not row.is_gate]
        post.take([row for row in first if row.over is None], now)
        StepRow.objects.using(place.alias).bulk_create(rows, batch_size=ROWS)
        # Of a group without parts the list is known at once.
        make_ready(place.alias, flow.id, [row for row in first if row.over is not None], post, now)

    place.run(store, together=True)
    flow.started = plan
    post.leave()
    return get_workflow(flow.id)


def jobs_of(workflow: str, plan: Plan) -> dict[int, Job]:
    """Return the job of each step, by position, as its backend makes it. Raise what enqueueing it would raise."""
    return {each.position: _job(workflow, each) for each in plan.steps if each.step is not None}


def _job(workflow: str, planned: PlannedStep) -> Job:
    assert planned.step is not None
    step, task = planned.step, planned.step.task
    backend = task.get_backend()
    if not hasattr(backend, "enqueue_jobs"):
        raise InvalidTask(
            f"Step {step.label!r} is for TASKS[{task.backend!r}], which is a {type(backend).__module__}.{type(backend).__name__}: "
            "the steps of a workflow need a backend of reinhardt_tasks."
        )
    # What an earlier step returned takes its type when the step runs.
    stored = stored_call(task, step.args, step.kwargs, leaves=lambda value: bool(places_in([value], {})))
    args: list[Any] = without_placeholders(stored[0])
    kwargs: Mapping[str, Any] = without_placeholders(stored[1])
    job: Job = backend.jobs_of(task, [(step.args, step.kwargs)], stored=[(args, kwargs)])[0]
    if job.once_key is not None:
        raise InvalidWorkflow(
            f"Step {step.label!r} has a task that is unique or debounced: another call could stand in its place, and the "
            "workflow would wait for ever. Write step(task, …).using(unique=False, debounce=False)."
        )
    _refuse_unknown_keys(step.label, job, [placeholder for _, placeholder in places_in(step.args, step.kwargs)])
    note: dict[str, Any] = {"id": workflow, "step": planned.position}
    if planned.places:
        note["places"] = planned.places
    object.__setattr__(
        job, "payload", encode_call(task.module_path, args, kwargs, {HEADER: note, **backend.headers_of(task)})
    )
    return job


def _refuse_unknown_keys(label: str, job: Job, placeholders: Sequence[Placeholder]) -> None:
    """Raise InvalidWorkflow where a limit's key was made of what only the step's run will know: it would be one key for all."""
    for limit in job.limits:
        for placeholder in placeholders:
            if repr(placeholder) in limit.key:
                raise InvalidWorkflow(
                    f"Step {label!r} has a limit with the key {limit.key!r}, made of {placeholder!r}: that is not known when the "
                    "workflow starts, and the key is. Make the key of other arguments, or leave it out."
                )


def _rows(workflow: str, plan: Plan, jobs: Mapping[int, Job]) -> list[StepRow]:
    return [_row(workflow, each, jobs.get(each.position)) for each in plan.steps]


def _row(workflow: str, planned: PlannedStep, job: Job | None) -> StepRow:
    row = StepRow(
        id=step_id(workflow, planned.position),
        workflow_id=workflow,
        position=planned.position,
        is_gate=job is None,
        needs=planned.needs,
        open_needs=planned.needs,
        followers=json.dumps(planned.followers),
        guards=planned.guards,
        over=None if planned.over is None else json.dumps(planned.over),
    )
    if job is None or planned.step is None:
        return row
    row.name = planned.step.name
    row.on_failure = planned.step.policy
    row.instead = dumps(planned.step.instead, "instead")
    row.alias, row.task, row.queue = job.backend, job.name, job.queue
    row.priority, row.max_attempts, row.run_after = job.priority, job.max_attempts, job.run_after
    row.limits = encode_limits(job.limits)
    row.payload, row.metadata = job.payload, json.dumps(dict(job.metadata))
    return row
