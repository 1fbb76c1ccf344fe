"""Schedules: what they are, when they run next, how their last run ended; on, off, run now, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import InvalidSchedule, OperationRefused, TaskNotFound
from ..models import ScheduleRow, SlotRow
from ..operations import TaskView, store_of, view
from ..operations.schedules import SCHEDULE_ACTIONS, call_of
from ..operations.stores import STORE_ERRORS
from ..scheduling import people
from ..scheduling.databases import schedules_database
from ..scheduling.rows import schedule_of_row
from ..scheduling.synchronising import not_taken_over
from . import history
from .visits import Visit, needs_post

#: Schedules on one page; runs to come, and runs that were, on one schedule's page.
PAGE, NEXT, LAST = 50, 10, 10
#: Action → the right that it takes.
RIGHTS = {"on": "change", "off": "change", "run-now": "run_now", "delete": "delete"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A time to come, on the schedule's own clock."""

    at: datetime
    #: The clock is changed between the run before it and this one.
    is_after_change: bool


@dataclass(frozen=True, kw_only=True)
class ScheduleShown:
    view: people.ScheduleView
    last: TaskView | None


def show_list(visit: Visit) -> HttpResponse:
    after = visit.request.GET.get("after", "")
    views = list(people.list_schedules(3, after=after, limit=PAGE))
    last, away = _last_tasks(visit, [each.row for each in views])
    return visit.render(
        "schedules.html",
        _("Schedules"),
        "schedules",
        away=away,
        schedules=[ScheduleShown(view=each, last=last.get(str(each.row.last_task))) for each in views],
        next_url="?" + urlencode({"after": views[-1].row.name}) if len(views) == PAGE else "",
        is_first=not after,
        new=[] if after else _not_taken_over(),
    )


def show(visit: Visit, id_: str) -> HttpResponse:
    row = find(id_)
    found = people.view_of(row, timezone.now(), NEXT)
    zone = zone_of(row)
    slots = list(SlotRow.objects.using(schedules_database()).filter(schedule_id=row.pk).order_by("-due_at")[:LAST])
    tasks, away = _tasks(visit, [(slot.alias, str(slot.pk)) for slot in slots])
    return visit.render(
        "schedule.html",
        row.name,
        "schedules",
        away=away,
        schedule=found,
        row=row,
        zone=str(zone),
        runs=runs_of(found.next, zone),
        slots=[(slot, tasks.get(str(slot.pk))) for slot in slots],
        call=call_of(row) if visit.rights.view_arguments else None,
        history=history.of_row(row),
        is_peoples=row.source == "people",
        can_delete=visit.rights.has("delete") and (row.source == "people" or row.retired_at is not None),
    )


@needs_post
def act(visit: Visit, id_: str) -> HttpResponse:
    row = find(id_)
    asked = visit.request.POST.get("deed", "")
    action = SCHEDULE_ACTIONS.get(asked)
    if action is None:
        raise OperationRefused(_("There is no action {name}{hint}.").format(name=repr(asked), hint=""))
    visit.require(RIGHTS[action.name])
    if action.destroys and not visit.request.POST.get("confirmed"):
        return visit.render("delete_schedule.html", _("Delete a schedule"), "schedules", row=row)
    here = visit.url("schedulerow_change", str(row.pk))
    try:
        task = action.does(row.name)
    except (InvalidSchedule, TaskNotFound) as exc:
        visit.say(str(exc), messages.ERROR)
        return visit.redirect(here)
    history.happened(visit.request, row, action.done, DELETION if action.destroys else CHANGE)
    visit.say(str(action.said).format(name=row.name, task=task))
    return visit.redirect(visit.url("schedulerow_changelist") if action.destroys else here)


def find(id_: str) -> ScheduleRow:
    """Return a schedule's row. Raise Http404."""
    rows = ScheduleRow.objects.using(schedules_database())
    found = rows.filter(pk=int(id_)).first() if id_.isascii() and id_.isdigit() and len(id_) < 19 else None
    if found is None:
        raise Http404(_("There is no such schedule (any more)."))
    return found


def zone_of(row: ScheduleRow) -> tzinfo:
    """Return the time zone by whose clock a schedule runs; the site's where it has none of its own."""
    try:
        schedule = schedule_of_row(row)
    except InvalidSchedule:
        return timezone.get_current_timezone()
    zone: tzinfo = getattr(schedule, "zone", None) or timezone.get_current_timezone()
    return zone


def runs_of(moments: Sequence[datetime], zone: tzinfo) -> list[Run]:
    """Return times to come on a zone's clock, and where that is changed."""
    local = [moment.astimezone(zone) for moment in moments]
    changes = [False, *(one.utcoffset() != other.utcoffset() for one, other in pairwise(local))]
    return [Run(at=at, is_after_change=change) for at, change in zip(local, changes, strict=False)]


def _not_taken_over() -> list[people.ScheduleView]:
    """Return what is declared and has no row yet, as it will be."""
    return [
        people.ScheduleView(
            row=ScheduleRow(name=each.name, task=each.task, source=each.source),
            words=str(each.schedule),
            next=(),
            late=0,
            unsent=0,
        )
        for each in not_taken_over()
    ]


def _last_tasks(visit: Visit, rows: Sequence[ScheduleRow]) -> tuple[dict[str, TaskView], dict[str, str]]:
    return _tasks(visit, [(row.last_alias or "", str(row.last_task)) for row in rows if row.last_task])


def _tasks(visit: Visit, wanted: Sequence[tuple[str, str]]) -> tuple[dict[str, TaskView], dict[str, str]]:
    """Return what is still known of tasks, by id, and the stores that are away (alias → why): one question for each store."""
    found: dict[str, TaskView] = {}
    away: dict[str, str] = {}
    for alias in {alias for alias, _id in wanted}:
        try:
            jobs = store_of(alias).broker.get([id_ for its, id_ in wanted if its == alias])
        except STORE_ERRORS as exc:
            away[alias] = str(exc)
            continue
        except OperationRefused:
            # TASKS has it no more.
            continue
        found |= {id_: view(job, with_arguments=visit.rights.view_arguments) for id_, job in jobs.items()}
    return found, away
