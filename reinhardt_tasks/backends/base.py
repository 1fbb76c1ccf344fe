"""What every backend of this package has in common: Django's door, and the original's words, over a broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import iscoroutinefunction, isfunction
from typing import Any, ClassVar, TypeVar

from asgiref.sync import sync_to_async
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from .. import carriers, followers
from .._compat import DEFAULT_TASK_QUEUE_NAME, BaseTaskBackend, CoreTask, InvalidTask, TaskResultDoesNotExist
from ..arguments import stored_call
from ..bare_outcomes import attempt_of
from ..brokers.base import Broker, Queues
from ..calls import Call, check_call
from ..exceptions import BackendError, ExecutionFailed, TaskNotFound
from ..jobs import (
    Cancelled,
    Claim,
    Failed,
    Job,
    Outcome,
    Released,
    Retrying,
    Succeeded,
    TaskId,
    TaskStatus,
    changed,
    new_id,
)
from ..limits import limits_of, once_of
from ..options import BackendOptions, Problem, are_names, read_options
from ..queues import is_queue_name, no_queue_name
from ..receivers import announce
from ..registry import registry, task_of
from ..results import TaskResult, enqueued_result, result_of
from ..serialization import encode_call
from ..speech import gettext as _
from ..suggestions import did_you_mean
from ..tasks import Task
from . import dequeued

#: What speaks of a job by its id.
Stored = TypeVar("Stored", Job, TaskResult[Any])


class ReinhardtBackend(BaseTaskBackend):
    """The base of all backends here. Those that have a broker need to say only which."""

    task_class = Task
    supports_async_task = True
    supports_priority = True
    supports_defer = True
    supports_get_result = True

    #: What is enqueued lies in a store until a worker takes it.
    keeps_jobs: ClassVar[bool] = True

    options_class: ClassVar[type[BackendOptions]] = BackendOptions

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        queues = params.get("QUEUES", [DEFAULT_TASK_QUEUE_NAME])
        # What is no list of names is told by `check`; any queue will do until then, or no module could be imported.
        super().__init__(alias, {**params, "QUEUES": queues if are_names(queues) else []})
        self.params = params
        self.settings, self.problems = read_options(self.options_class, alias, params)
        #: The last task that was found valid, and the last one with the pattern of its jobs: no task changes, nor what is valid
        #: here, and most are enqueued more than once.
        self._valid_task: CoreTask | None = None
        self._pattern: tuple[CoreTask | None, Job] = (None, Job(id="", name="", payload="", backend=alias))

    @property
    def broker(self) -> Broker:
        """Where this backend keeps its jobs. Raise NotImplementedError for one that keeps none."""
        raise NotImplementedError(f"{type(self).__name__} keeps no jobs: there is nothing that a worker could run.")

    @property
    def has_outbox(self) -> bool:
        """Whether what was enqueued may still be on its way to the store."""
        return False

    def validate_task(self, task: CoreTask) -> None:
        """Raise InvalidTask, saying what to do, for a task that this backend cannot take."""
        if task is self._valid_task:
            return
        func = task.func
        if not isfunction(func) or "<locals>" in func.__qualname__ or func.__name__ == "<lambda>":
            name = getattr(func, "__qualname__", repr(func))
            raise InvalidTask(
                f"Task function must be defined at a module level. {name} is {_kind(func)}: a worker could not find it by name. "
                "Write a function with `def` or `async def` in a module."
            )
        if self.queues and task.queue_name not in self.queues:
            raise InvalidTask(
                f"Queue '{task.queue_name}' is not valid for backend. TASKS[{self.alias!r}]['QUEUES'] has "
                f"{', '.join(map(repr, sorted(self.queues)))}{did_you_mean(task.queue_name, self.queues)}."
            )
        if not is_queue_name(task.queue_name):
            raise InvalidTask(no_queue_name(task.queue_name))
        super().validate_task(task)
        self._valid_task = task

    def enqueue(self, task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[Any]:
        """Store the task, in the caller's transaction where the store takes part in it; return its result.

        Raise InvalidTask, TypeError (arguments that do not fit), SerializationFailed (arguments that JSON cannot hold) or
        QueueError (the store); nothing is stored then.
        """
        return self.enqueue_many(task, [(args, kwargs)])[0]

    def enqueue_many(self, task: CoreTask, calls: Sequence[Call]) -> list[TaskResult[Any]]:
        """Store one task for each call, all or none, in one round trip; see enqueue()."""
        with carriers.enqueueing(task, len(calls)):
            return self.send(task, self.jobs_of(task, calls))

    def send(self, task: CoreTask, jobs: Sequence[Job]) -> list[TaskResult[Any]]:
        """Store what `jobs_of` has made of calls of `task`, then or before; return their results. Raise QueueError."""
        return self._announce(task, jobs, self.broker.enqueue(jobs))

    def enqueue_jobs(self, jobs: Sequence[Job]) -> None:
        """Store jobs that were made before, under the ids that they have; those whose ids are known are there already."""
        self._announce_jobs(newly_stored(jobs, self.broker.enqueue(jobs)))

    def commits_with(self, database: str) -> bool:
        """Return whether what is enqueued in a transaction of this database is part of it."""
        return False

    async def aenqueue_many(self, task: CoreTask, calls: Sequence[Call]) -> list[TaskResult[Any]]:
        """See enqueue_many()."""
        return await sync_to_async(self.enqueue_many, thread_sensitive=True)(task, calls)

    def get_result(self, result_id: str) -> TaskResult[Any]:
        """Return a task's result. Raise TaskResultDoesNotExist where there is no such task (any more)."""
        job = self.broker.get([str(result_id)]).get(str(result_id))
        if job is None:
            raise TaskResultDoesNotExist(result_id)
        return result_of(job, task_of(job))

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Cancel tasks; return the ids for which that took effect."""
        return self.broker.cancel([str(id_) for id_ in ids])

    async def acancel(self, ids: Sequence[str]) -> list[str]:
        """See cancel()."""
        return await sync_to_async(self.cancel, thread_sensitive=True)(ids)

    def why_waiting_is_hopeless(self) -> str | None:
        """Return why nobody can run what was enqueued here just now, or None where somebody can."""
        return None

    def unsent(self) -> int:
        """Return how many tasks are kept here that the store does not take, up to a bound. Raise QueueError."""
        return 0

    def dequeue(self, queues: Queues = None) -> TaskId | None:
        """Claim the next task for the caller, who runs it and tells with `update_status`; None where nothing is due.

        The claim lasts for the backend's `LEASE` seconds, which nothing renews; then a worker may run the task.
        """
        claim = dequeued.dequeue(self.alias, self.broker, queues, self.settings.lease)
        return None if claim is None else TaskId(claim.job.id)

    def get_status(self, task_id: str | TaskId) -> TaskStatus:
        """Return a task's state. Raise TaskNotFound where there is no such task."""
        return self._get(task_id).status

    def update_status(self, task_id: str | TaskId, status: TaskStatus) -> None:
        """Tell what became of a task that `dequeue` gave to this process; CANCELLED cancels any.

        Raise TaskNotFound where there is no such task, BackendError where it is not this process's to settle. After a
        QueueError it still is: tell it again.
        """
        job = self._get(task_id)
        status = TaskStatus(status)
        if status is TaskStatus.CANCELLED and job.status.is_waiting:
            self.broker.cancel([job.id])
            return
        if status is job.status:
            return
        held = dequeued.take(self.alias, job.id)
        if held is None or self._settle(held, status):
            raise BackendError(
                f"Task {job.id} ({job.name}) is {job.status}, and not held by this process: dequeue it first."
            )

    def _settle(self, held: dequeued.Held, status: TaskStatus) -> list[Claim]:
        try:
            lost = self.broker.settle(followers.all_ended([_outcome(held.claim, status)]))
        except BaseException:
            dequeued.keep(self.alias, held)
            raise
        dequeued.let_go(self.alias, held)
        return lost

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with this alias, for Django's system checks."""
        from django.apps import apps

        problems = list(self.problems)
        if not apps.is_installed("reinhardt_tasks"):
            problems.append(
                Problem(
                    "E001",
                    _("TASKS[{alias}] uses reinhardt_tasks, which is not an installed app.").format(
                        alias=repr(self.alias)
                    ),
                    _("Add 'reinhardt_tasks' to INSTALLED_APPS."),
                )
            )
        return [checks.Error(p.message, hint=p.hint, id=f"reinhardt_tasks.{p.code}") for p in problems]

    def jobs_of(self, task: CoreTask, calls: Sequence[Call], *, stored: Sequence[Call] | None = None) -> list[Job]:
        """Return the jobs that enqueueing these calls would store. Raise what `enqueue` raises for bad ones.

        `stored` are the same calls as they are to be stored, where the caller knows that.
        """
        if self.problems:
            raise ImproperlyConfigured(f"{self.problems[0].message} {self.problems[0].hint}")
        self.validate_task(task)
        headers = self.headers_of(task)
        if stored is None:
            stored = [stored_call(task, args, kwargs) for args, kwargs in calls]
        pattern = self._pattern_of(task)
        return [self._job_of(pattern, task, *each, headers) for each in zip(calls, stored, strict=True)]

    def headers_of(self, task: CoreTask) -> dict[str, Any]:
        """Return what travels with a call of `task` from here: what carriers pack, and a timeout of this call's own."""
        headers = dict(carriers.pack() or {})
        timeout = getattr(task, "timeout", None)
        # The task's own the worker knows.
        if timeout is not None and timeout != self._timeout_known_of(task):
            headers["timeout"] = timeout
        return headers

    def _timeout_known_of(self, task: CoreTask) -> float | None:
        known = registry.get(task.module_path) if registry.has(task.module_path) else task
        timeout: float | None = getattr(known, "timeout", None)
        return timeout

    def _pattern_of(self, task: CoreTask) -> Job:
        """Return a job with all that the jobs of a task have in common."""
        known, pattern = self._pattern
        if known is not task:
            pattern = changed(
                pattern,
                name=task.module_path,
                queue=task.queue_name,
                priority=int(task.priority),
                run_after=task.run_after,
                max_attempts=getattr(task, "max_attempts", None),
                is_async=iscoroutinefunction(task.func),
            )
            self._pattern = task, pattern
        return pattern

    def _job_of(self, pattern: Job, task: CoreTask, call: Call, stored: Call, headers: Mapping[str, Any]) -> Job:
        args, kwargs = call
        check_call(task, args, kwargs)
        payload = encode_call(pattern.name, *stored, headers)
        job = changed(pattern, id=new_id(), payload=payload, metadata=dict(getattr(task, "metadata", ())))
        return self._limited(job, task, args, kwargs)

    def _limited(self, job: Job, task: CoreTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Job:
        """Return the job with the limits of its task and its queue; most have none."""
        queue = self.settings.queues.get(job.queue)
        limits = limits_of(task, queue, args, kwargs)
        if getattr(task, "unique", None) is not None or getattr(task, "debounce", None) is not None:
            job = replace(job, **once_of(task, args, kwargs))
        return replace(job, limits=limits) if limits else job

    def _announce(self, task: CoreTask, sent: Sequence[Job], stored: Sequence[Job]) -> list[TaskResult[Any]]:
        results = [enqueued_result(job, task) for job in stored]
        for result in newly_stored(sent, results):
            announce(type(self), result)
        return results

    def _announce_jobs(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if registry.has(job.name):
                announce(type(self), result_of(job, task_of(job)))

    def _get(self, task_id: str | TaskId) -> Job:
        job = self.broker.get([str(task_id)]).get(str(task_id))
        if job is None:
            raise TaskNotFound(
                f"TASKS[{self.alias!r}] has no task {task_id}: it never was, or was deleted after its time."
            )
        return job


def newly_stored(sent: Sequence[Job], answers: Sequence[Stored]) -> list[Stored]:
    """Return the answers to what was sent without those that speak of an earlier job: a unique task waits already."""
    return [answer for job, answer in zip(sent, answers, strict=True) if answer.id == job.id]


def _outcome(claim: Claim, status: TaskStatus) -> Outcome:
    attempt = attempt_of(claim, ExecutionFailed(f"The caller of dequeue() set the state {status}."))
    match status:
        case TaskStatus.SUCCESS:
            return Succeeded(claim=claim)
        case TaskStatus.FAILURE:
            return Failed(claim=claim, attempt=attempt)
        case TaskStatus.RETRY:
            return Retrying(claim=claim, attempt=attempt)
        case TaskStatus.CANCELLED:
            return Cancelled(claim=claim, attempt=attempt)
        case _:
            return Released(claim=claim)


def _kind(func: Any) -> str:
    if isinstance(func, type):
        return "a class"
    if not isfunction(func):
        return f"a {type(func).__name__}"
    return "a lambda" if func.__name__ == "<lambda>" else "defined inside of another function or class body"
