"""A workflow that was started, for those who wait for it and those who watch it. None of this belongs to a view."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import Q

from ..aliases import backend_or_none
from ..exceptions import QueueError
from ..jobs import Job, TaskStatus
from ..models import StepRow, WorkflowRow
from ..redaction import cleaner, may_hide
from ..suggestions import did_you_mean
from ..waiting import pauses
from ..workflow_states import ChainStatus, StepStatus
from . import interventions, tending
from .endings import message_of
from .ids import job_id_of
from .places import database, is_in_transaction, steps_in
from .reading import Members, counts_of, members_of, progress_of, values_of

#: Seconds between two looks of `wait()`.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5


class WorkflowRun:
    """A handle. What it says is as it was read last: by `get_workflow`, `refresh` or `wait`."""

    def __init__(self, row: WorkflowRow) -> None:
        self._row = row

    def __repr__(self) -> str:
        return f"<WorkflowRun {self.name!r} {self.id} {self.status}>"

    @property
    def id(self) -> str:
        """The workflow's id, a UUID as text: for `get_workflow` in another process."""
        return str(self._row.pk)

    @property
    def name(self) -> str:
        """The name that its author gave it."""
        return self._row.name

    @property
    def status(self) -> ChainStatus:
        """PENDING until a first step begins, then RUNNING; COMPLETED, FAILED or CANCELLED in the end."""
        return ChainStatus(self._row.status)

    @property
    def is_finished(self) -> bool:
        """Whether it has come to an end, good or bad. Steps that ran at a cancellation may end later."""
        return self.status.is_finished

    @property
    def created_at(self) -> datetime:
        """When it was started: its rows were stored then."""
        return self._row.created_at

    @property
    def started_at(self) -> datetime | None:
        """When its first step began."""
        return self._row.started_at

    @property
    def finished_at(self) -> datetime | None:
        """When it was completed, had failed or was cancelled; steps that ran at that moment may end later."""
        return self._row.finished_at

    @property
    def duration(self) -> timedelta | None:
        """From the beginning of the first step to the end, or to now; None before."""
        if self.started_at is None:
            return None
        return (self.finished_at or datetime.now(UTC)) - self.started_at

    @property
    def step_count(self) -> int:
        """How many steps it has in all, those of its groups and parts included."""
        return self._row.steps

    def progress(self) -> tuple[int, int]:
        """Return how many steps have ended, of how many; reads them now."""
        return progress_of(self.id)

    def counts(self) -> dict[StepStatus, int]:
        """Return how many steps are in each state; reads them now."""
        return counts_of(self.id)

    def refresh(self) -> WorkflowRun:
        """Read its present state."""
        self._row = interventions.found(self.id)
        return self

    def wait(self, timeout: float | timedelta | None = None) -> WorkflowRun:
        """Wait until it has ended, well or not. Raise TimeoutError, or RuntimeError where waiting cannot end."""
        self._refuse_in_vain()
        for pause in self._pauses(timeout):
            if self.refresh().is_finished:
                break
            time.sleep(pause)
        return self

    async def await_(self, timeout: float | timedelta | None = None) -> WorkflowRun:
        """See wait()."""
        await sync_to_async(self._refuse_in_vain)()
        for pause in self._pauses(timeout):
            if (await sync_to_async(self.refresh)()).is_finished:
                break
            await asyncio.sleep(pause)
        return self

    def result_of(self, name: str) -> Any:
        """Return the result of a named step, or the list of a named group's. Raise LookupError where there is none (yet)."""
        names = json.loads(self._row.names)
        if name not in names:
            raise LookupError(
                f"Workflow {self.name!r} has no part, or several, called {name!r}{did_you_mean(name, names)}."
            )
        return values_of(self.id, [names[name]])[0]

    def results(self) -> dict[str, Any]:
        """Return the results of all named parts that have one."""
        found = {}
        for name, source in json.loads(self._row.names).items():
            try:
                found[name] = values_of(self.id, [source])[0]
            except LookupError:
                continue
        return found

    @property
    def return_value(self) -> Any:
        """The result of the whole: a chain's last one, a group's list. Raise ValueError where it was not completed."""
        if self.status is not ChainStatus.COMPLETED:
            raise ValueError(f"Workflow {self.name!r} has no result: it is {self.status}.")
        return values_of(self.id, [json.loads(self._row.output)])[0]

    def steps(
        self,
        *,
        after: int = -1,
        limit: int = 100,
        statuses: Sequence[StepStatus] | None = None,
        members: bool = True,
    ) -> list[StepView]:
        """Return steps in order, as the queue knows them too; `after` is the last position of the page before.

        A step that is run for each item of something is there as its members are; without `members` as one step.
        """
        return steps_of(self.id, after=after, limit=limit, statuses=statuses, members=members)

    def cancel(self) -> bool:
        """End it; see interventions.cancel()."""
        return self._done(interventions.cancel)

    def retry(self) -> bool:
        """Run it again from its beginning; see interventions.retry()."""
        return self._done(interventions.retry)

    def retry_failed(self) -> bool:
        """Let it go on from where it failed; see interventions.retry_failed()."""
        return self._done(interventions.retry_failed)

    def delete(self) -> None:
        """Forget it and its steps. What is still in a queue is cancelled when a worker meets it."""
        tending.delete([self._row.pk])

    def _done(self, what: Callable[[str], bool]) -> bool:
        done = what(self.id)
        self.refresh()
        return done

    def _refuse_in_vain(self) -> None:
        if not self.is_finished and is_in_transaction(database()):
            raise RuntimeError(
                f"Waiting for workflow {self.id} would never end: it was started in a transaction that is still open. "
                "Wait after the transaction."
            )

    def _pauses(self, timeout: float | timedelta | None) -> Iterator[float]:
        return pauses(
            timeout, _FIRST_PAUSE, _LONGEST_PAUSE, lambda: f"Workflow {self.id} ({self.name}) is still {self.status}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """A step for people: what is on record, and what the queue says of a step that is under way.

    `state` is a StepStatus or, of a step that is in its queue, a TaskStatus. `handles` is the position of the step whose
    failure this one is for. Positions have gaps, where gates are. A step with `for_each` has no task of its own: `members`
    are how many of its tasks have ended, of how many; `member_of` is its position in the views of these. Its attempts are
    those of the tasks that have ended. `away` says why the queue of a step that is under way could not be asked: `state` is
    READY then, whatever has become of it.
    """

    position: int
    name: str
    task: str
    state: StepStatus | TaskStatus
    job_id: str
    backend: str
    queue: str
    attempts: int
    on_failure: str
    handles: int | None
    ready_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    traceback: str
    members: tuple[int, int] | None = None
    member_of: int | None = None
    is_for_each: bool = False
    away: str = ""

    @property
    def has_task(self) -> bool:
        """Whether a task of it is (or was) in its queue."""
        return not self.is_for_each and self.state not in (StepStatus.WAITING, StepStatus.SKIPPED)

    @property
    def reason(self) -> str:
        """The error; of a cancelled step, which is none, without the class of the exception."""
        return self.error.partition(": ")[2] if self.state == StepStatus.CANCELLED else self.error


def get_workflow(id: str) -> WorkflowRun:
    """Return the handle of a workflow. Raise WorkflowNotFound."""
    return WorkflowRun(interventions.found(str(id)))


async def aget_workflow(id: str) -> WorkflowRun:
    """See get_workflow()."""
    return await sync_to_async(get_workflow)(id)


def list_workflows(
    *,
    statuses: Sequence[ChainStatus] | None = None,
    name: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> list[WorkflowRun]:
    """Return workflows, newest first; `after` is the last id of the page before."""
    rows = WorkflowRow.objects.using(database()).defer("output", "names").order_by("-pk")
    if statuses is not None:
        rows = rows.filter(status__in=[ChainStatus(status).value for status in statuses])
    if name is not None:
        rows = rows.filter(name=name)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    return [WorkflowRun(row) for row in rows[:limit]]


def workflows_like(prefix: str, limit: int) -> list[WorkflowRun]:
    """Return the newest workflows whose ids begin so, with dashes or without."""
    digits = prefix.strip().replace("-", "").lower()
    if not digits or len(digits) > 32 or re.fullmatch("[0-9a-f]+", digits) is None:
        return []
    first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
    rows = WorkflowRow.objects.using(database()).filter(pk__gte=first, pk__lte=last).order_by("-pk")
    return [WorkflowRun(row) for row in rows[:limit]]


def steps_of(
    workflow: str,
    *,
    after: int = -1,
    limit: int = 100,
    statuses: Sequence[StepStatus] | None = None,
    members: bool = True,
) -> list[StepView]:
    """Return a page of a workflow's steps; see WorkflowRun.steps()."""
    has_ended = get_workflow(workflow).is_finished
    wanted = Q(is_gate=False) if members else Q(is_gate=False, member_of=None) | Q(over__isnull=False)
    rows = steps_in(database(), workflow).filter(wanted, position__gt=after)
    if statuses is not None:
        among = [StepStatus(status) for status in statuses]
        fits = Q(status__in=[status.value for status in among])
        if not members:
            # A step that was laid out is in the state of its members.
            expanded = list(steps_in(database(), workflow).filter(over__isnull=False, is_gate=True))
            states = {position: many.state for position, many in members_of(workflow, expanded).items()}
            fits &= ~Q(position__in=list(states))
            fits |= Q(position__in=[position for position, state in states.items() if state in among])
        rows = rows.filter(fits)
    some = list(rows.defer("payload", "result", "followers").order_by("position")[:limit])
    jobs, away = _jobs_of(some)
    many = members_of(workflow, some)
    _clean_errors(some)
    return [
        _view(row, jobs.get(job_id_of(row)), many.get(row.position), has_ended, away.get(row.alias, "")) for row in some
    ]


def _jobs_of(rows: Sequence[StepRow]) -> tuple[dict[str, Job], dict[str, str]]:
    """Return what the queues know of the steps that are under way, and why some (their aliases) could not be asked."""
    jobs: dict[str, Job] = {}
    away: dict[str, str] = {}
    ready = [row for row in rows if row.status == StepStatus.READY]
    for alias in {row.alias for row in ready}:
        backend = backend_or_none(alias)
        if backend is not None and backend.keeps_jobs:
            try:
                jobs |= backend.broker.get([job_id_of(row) for row in ready if row.alias == alias])
            except QueueError as exc:
                away[alias] = str(exc)
    return jobs, away


def _clean_errors(rows: Sequence[StepRow]) -> None:
    """Take what people are not to see out of the errors of rows that are shown, and not stored again."""
    unclean = {row.pk: row for row in rows if row.error and may_hide(row.task)}
    if not unclean:
        return
    payloads = StepRow.objects.using(database()).filter(pk__in=list(unclean)).values_list("pk", "payload")
    for key, payload in payloads:
        row = unclean[key]
        clean = cleaner(Job(id=job_id_of(row), name=row.task, payload=payload, backend=row.alias))
        error = json.loads(row.error or "{}")
        traceback = clean(error.get("traceback", ""))
        # Of the cleaned one: the first line of a value alone would not be known again.
        row.error = json.dumps(error | {"message": message_of(traceback), "traceback": traceback})


def _view(row: StepRow, job: Job | None, members: Members | None, has_ended: bool, away: str) -> StepView:
    error = json.loads(row.error or "{}")
    state: StepStatus | TaskStatus = StepStatus(row.status)
    if state is StepStatus.WAITING and has_ended:
        state = StepStatus.SKIPPED
    elif job is not None:
        state = job.status
    elif members is not None:
        state = members.state
    return StepView(
        position=row.position,
        name=row.name or row.task.rpartition(".")[2],
        task=row.task,
        state=state,
        job_id=job_id_of(row),
        backend=row.alias,
        queue=row.queue,
        attempts=_attempts(row, job, members),
        on_failure=row.on_failure,
        handles=row.guards,
        ready_at=row.ready_at,
        started_at=_started_at(row, job, members),
        finished_at=row.finished_at if members is None else members.finished_at,
        error=": ".join(filter(None, [error.get("exception", ""), error.get("message", "")])),
        traceback=error.get("traceback", ""),
        members=None if members is None else (members.done, members.total),
        member_of=row.member_of,
        is_for_each=row.over is not None,
        away=away if row.status == StepStatus.READY else "",
    )


def _attempts(row: StepRow, job: Job | None, members: Members | None) -> int:
    if members is not None:
        return members.attempts
    return row.attempts if job is None else len(job.worker_ids)


def _started_at(row: StepRow, job: Job | None, members: Members | None) -> datetime | None:
    if members is not None:
        return members.started_at
    return row.started_at if job is None else job.first_started_at or job.started_at
