"""Other arguments for a task that waits or has failed, and running a finished one once more."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from .._compat import CoreTask
from ..arguments import converter_of, passed_call
from ..calls import check_call
from ..exceptions import OperationRefused, SerializationFailed, TaskNotFound
from ..followers import FOLLOWERS
from ..jobs import ENDED_BADLY, Job, TaskStatus, new_id
from ..redaction import ShownCall, restored_call, shown_call
from ..registry import registry
from ..serialization import decode_call, encode_call
from ..unknown_names import without_mark
from ..workflow_states import filled_later
from .stores import Store

logger = logging.getLogger("reinhardt_tasks")


def arguments_of(job: Job) -> ShownCall:
    """Return the arguments to begin an edit with: redacted ones are the placeholder, and stay as they are where it stays."""
    return shown_call(job)


def edit(
    store: Store,
    id_: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    run: bool = True,
    seen: TaskStatus | None = None,
) -> str:
    """Give a task other arguments, checked against the function; return the id under which it runs with them.

    One that waits keeps its id and its place. One that failed or was cancelled keeps its id and its history, and is
    retried, unless `run` is False. A finished one is enqueued anew, under a new id. Raise TaskNotFound, and
    OperationRefused for arguments that do not fit, for a task that runs, and for one that has ended since it was `seen`
    in another state: to run it once more is for whoever knows that it ran.
    """
    job = _job(store, id_)
    if seen is not None and job.status.is_finished and job.status is not seen:
        raise OperationRefused(
            _(
                "Task {id} was {seen} when its arguments were read, and is {status} now: look at it, and edit it again "
                "if it is to run once more."
            ).format(id=job.id, seen=seen.value, status=job.status.value)
        )
    payload = _payload(job, args, kwargs)
    if job.status is TaskStatus.SUCCESS:
        return _enqueued(store, job, payload)
    if not store.broker.rewrite(job.id, payload):
        raise OperationRefused(
            _("Task {id} runs, or ended meanwhile: cancel it first, or look again.").format(id=job.id)
        )
    logger.info("Task id=%s path=%s edited by hand: backend=%s", job.id, job.name, store.alias)
    if run and job.status in ENDED_BADLY and not store.broker.retry([job.id]):
        raise OperationRefused(_("Task {id} has its new arguments, but could not be retried.").format(id=job.id))
    return job.id


def run_again(store: Store, id_: str) -> str:
    """Enqueue a finished task once more, under a new id and without what it was a part of; return that id.

    Raise TaskNotFound, and OperationRefused for one that has not ended, and for a step whose arguments are results of others.
    """
    job = _job(store, id_)
    if not job.status.is_finished:
        raise OperationRefused(_("Task {id} is {status}: it has not ended.").format(id=job.id, status=job.status.value))
    args, kwargs, _headers = decode_call(job.payload)
    return _enqueued(store, job, _payload(job, args, kwargs))


def _job(store: Store, id_: str) -> Job:
    job = store.broker.get([id_]).get(id_)
    if job is None:
        raise TaskNotFound(_("TASKS[{alias}] has no task {id}.").format(alias=repr(store.alias), id=id_))
    return job


def _payload(job: Job, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return edited arguments as a payload that keeps what travels with the call."""
    try:
        task: CoreTask = registry.get(job.name)
    except TaskNotFound as exc:
        raise OperationRefused(str(exc)) from exc
    try:
        stored_args, stored_kwargs, headers = decode_call(job.payload)
    except (SerializationFailed, RecursionError):
        stored_args, stored_kwargs, headers = [], {}, {}
    new_args, new_kwargs = restored_call(task, (stored_args, stored_kwargs), args, kwargs)
    try:
        check_call(task, new_args, new_kwargs)
        converter = converter_of(task)
        if converter is not None and not converter.asks_database:
            passed_call(task, new_args, new_kwargs)
        return encode_call(job.name, new_args, new_kwargs, headers)
    except TypeError as exc:
        raise OperationRefused(str(exc)) from exc


def _is_unfilled(job: Job, args: Sequence[Any], kwargs: Mapping[str, Any], places: set[int | str]) -> bool:
    """Return whether something that only stands for another step's result is still among the arguments."""
    stored = decode_call(job.payload)
    before, now = ({**dict(enumerate(args_)), **kwargs_} for args_, kwargs_ in (stored[:2], (args, kwargs)))
    return any(place in now and now[place] == before.get(place) for place in places)


def _enqueued(store: Store, job: Job, payload: str) -> str:
    args, kwargs, headers = decode_call(payload)
    if _is_unfilled(job, args, kwargs, filled_later(headers)):
        raise OperationRefused(
            _("Arguments of task {id} are results of other steps: retry the workflow, or give it others.").format(
                id=job.id
            )
        )
    again = Job(
        id=new_id(),
        name=job.name,
        # It is no step of anything any more. The context it was enqueued in (whose tenant it serves, say) still holds.
        payload=encode_call(job.name, args, kwargs, {k: v for k, v in headers.items() if k not in FOLLOWERS}),
        backend=job.backend,
        queue=job.queue,
        priority=job.priority,
        max_attempts=job.max_attempts,
        limits=job.limits,
        metadata=without_mark(job.metadata),
        is_async=job.is_async,
    )
    store.broker.enqueue([again])
    logger.info("Task id=%s path=%s run again by hand: backend=%s as=%s", job.id, job.name, store.alias, again.id)
    return again.id
