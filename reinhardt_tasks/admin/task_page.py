"""One task: its arguments, result, attempts and timeline, and the buttons for what can be done to it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..exceptions import InvalidSchedule, OperationRefused, QueueError, TaskNotFound
from ..jobs import Job, TaskStatus
from ..operations import Store, TaskView, held_back_by, rule_in_words, run_again, store_of, stores, view
from ..operations.alerts import away_alert
from ..operations.schedules import reading_schedules
from ..operations.stores import STORE_ERRORS
from ..scheduling import people
from . import history
from .deeds import DEEDS, Deed
from .visits import Visit


def find(visit: Visit, id_: str) -> tuple[Store, Job]:
    """Return a task by its whole id, from the store that the address names or else from all. Raise Http404."""
    asked = visit.request.GET.get("backend") or visit.request.POST.get("backend")
    away: dict[str, str] = {}
    for store in [store_of(asked)] if asked else stores():
        try:
            job = store.broker.get([id_]).get(id_)
        except STORE_ERRORS as exc:
            away[store.alias] = str(exc)
            continue
        if job is not None:
            return store, job
    if away:
        raise QueueError(" ".join(away_alert(alias, reason).message for alias, reason in away.items()))
    raise Http404(_("There is no such task (any more)."))


def show(visit: Visit, id_: str) -> HttpResponse:
    store, job = find(visit, id_)
    if visit.request.method == "POST":
        return _run_again(visit, store, job)
    task = view(job, with_arguments=visit.rights.view_arguments)
    context: dict[str, Any] = {
        **_origin(visit, task),
        "task": task,
        "limits": [(limit, rule_in_words(limit)) for limit in task.limits],
        "held_back_by": held_back_by(store, task),
        "store": store,
        "is_live": not task.status.is_finished,
        "deeds": _deeds(visit, job),
        "can_run_again": visit.rights.has("retry")
        and job.status.is_finished
        and task.is_registered
        and not task.waits_for_results,
        "can_edit": visit.rights.may_edit and job.status is not TaskStatus.RUNNING and task.is_registered,
    }
    if visit.wants_part:
        return visit.part("_task.html", **context)
    return visit.render(
        "task.html",
        task.name,
        "tasks",
        history=history.of_task(job.id),
        **context,
    )


def _run_again(visit: Visit, store: Store, job: Job) -> HttpResponse:
    """Enqueue a finished task anew: the one thing that this page does itself."""
    visit.require("retry")
    try:
        new = run_again(store, job.id)
    except (OperationRefused, TaskNotFound) as exc:
        visit.say(str(exc), messages.ERROR)
        return visit.redirect(visit.url("jobrow_change", job.id, query={"backend": store.alias}))
    history.tasks_were(
        visit.request, [job.id, new], gettext_noop("Run again."), names={job.id: job.name, new: job.name}
    )
    visit.say(_("Enqueued once more; this is the new task."))
    return visit.redirect(visit.url("jobrow_change", new, query={"backend": store.alias}))


def _origin(visit: Visit, task: TaskView) -> dict[str, str]:
    """Return the addresses of the schedule that sent a task, and of the workflow that it is a step of."""
    found = {}
    if task.schedule:
        found["schedule_url"] = _schedule_url(visit, task.schedule)
    if task.workflow and visit.may_see("workflowrow_changelist"):
        found["workflow_url"] = visit.url("workflowrow_change", task.workflow)
    return found


def _schedule_url(visit: Visit, name: str) -> str:
    """Return the address of a schedule's page; '' where it is gone, or cannot be read, or is not for the user."""
    if not visit.may_see("schedulerow_changelist"):
        return ""
    try:
        with reading_schedules():
            return visit.url("schedulerow_change", str(people.find(name).pk))
    except (InvalidSchedule, QueueError):
        return ""


def _deeds(visit: Visit, job: Job) -> list[Deed]:
    return [deed for deed in DEEDS.values() if visit.rights.has(deed.right) and job.status in deed.applies_to]
