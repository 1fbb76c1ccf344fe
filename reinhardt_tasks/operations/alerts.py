"""What somebody should look at, in a sentence each: nobody works, tasks wait for long, a queue is paused, a store is away."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import spans
from .stores import stores

if TYPE_CHECKING:
    from .overview import QueueOverview
    from .workers import WorkerView

#: Seconds that a ready task may have waited, unless a caller says otherwise.
MAX_OLDEST = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One thing to look at.

    `code` is for programs: store_away, no_worker, old_tasks, paused, lost_workers, unsent, no_scheduler, broken_schedule.
    """

    code: str
    backend: str
    queue: str = ""
    message: str
    hint: str


def alerts_of(
    alias: str, queues: Iterable[QueueOverview], living: Sequence[WorkerView], max_oldest: float = MAX_OLDEST
) -> list[Alert]:
    """Return what is to be looked at in one store."""
    found = []
    for queue in queues:
        found += _of_queue(alias, queue, living, max_oldest)
    lost = [worker for worker in living if not worker.is_alive and worker.running]
    if lost and not any(worker.is_alive for worker in living):
        found.append(
            Alert(
                code="lost_workers",
                backend=alias,
                message=_("{count} workers were lost with {running} tasks, and none lives to take these over.").format(
                    count=len(lost), running=sum(worker.running for worker in lost)
                ),
                hint=_("Start a worker, or run `manage.py tasks requeue`."),
            )
        )
    return found


def away_alert(alias: str, reason: str) -> Alert:
    return Alert(
        code="store_away",
        backend=alias,
        message=_("The store of {alias} is away: {reason}").format(alias=repr(alias), reason=reason),
        hint=_("Start it, or see that this machine reaches it."),
    )


def unsent_alert(alias: str, count: int) -> Alert:
    return Alert(
        code="unsent",
        backend=alias,
        message=ngettext(
            "{count} task in the outbox of {alias} cannot be sent.",
            "{count} tasks in the outbox of {alias} cannot be sent.",
            count,
        ).format(count=count, alias=repr(alias)),
        hint=_(
            "The log says why, at ERROR. They are kept and tried again every minute: mend the store, or start workers of "
            "the release that wrote them."
        ),
    )


def _of_queue(alias: str, queue: QueueOverview, living: Sequence[WorkerView], max_oldest: float) -> list[Alert]:
    if queue.is_paused:
        if not (queue.ready or queue.scheduled or queue.retrying):
            return []
        return [
            Alert(
                code="paused",
                backend=alias,
                queue=queue.queue,
                message=_("Queue {queue} is paused, and has tasks.").format(queue=repr(queue.queue)),
                hint=_("`{command}` lets them begin.").format(command=_resuming(alias, queue.queue)),
            )
        ]
    found = []
    has_tasks = queue.ready or queue.scheduled or queue.retrying
    if has_tasks and not any(worker.is_alive and worker.serves(queue.queue) for worker in living):
        found.append(
            Alert(
                code="no_worker",
                backend=alias,
                queue=queue.queue,
                message=_("Queue {queue} has tasks, and no living worker serves it.").format(queue=repr(queue.queue)),
                hint=_("Start one: `manage.py runworker --backend {alias} --queue {queue}`.").format(
                    alias=shlex.quote(alias), queue=shlex.quote(queue.queue)
                ),
            )
        )
    if queue.oldest_age is not None and queue.oldest_age > max_oldest:
        found.append(
            Alert(
                code="old_tasks",
                backend=alias,
                queue=queue.queue,
                message=_("The oldest ready task of queue {queue} has waited for {age}, and may for {most}.").format(
                    queue=repr(queue.queue), age=spans.in_words(queue.oldest_age), most=spans.in_words(max_oldest)
                ),
                hint=_("Start more workers, or see what keeps these."),
            )
        )
    return found


def _resuming(alias: str, queue: str) -> str:
    """Return the command that resumes a queue, which has to be told the backend where there are several."""
    of = f" --backend {shlex.quote(alias)}" if len(stores()) > 1 else ""
    return f"manage.py tasks resume {shlex.quote(queue)}{of}"
