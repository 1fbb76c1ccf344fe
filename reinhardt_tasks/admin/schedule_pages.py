"""Schedules: what they are, when they run next, how their last run ended; on, off, run now, delete."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import InvalidSchedule, TaskNotFound
from ..models import ScheduleRow
from ..operations import TaskView
from ..operations.schedule_runs import last_tasks, no_runs_words, past_runs, runs_of, zone_of
from ..operations.schedules import SCHEDULE_ACTIONS, call_of
from ..scheduling import people
from ..scheduling.databases import schedules_database
from ..scheduling.synchronising import not_taken_over
from . import history
from .visits import Visit, deed_of, needs_post

#: Schedules on one page; runs to come, and runs that were, on one schedule's page.
PAGE, NEXT, LAST = 50, 10, 10
#: Action → the right that it takes.
RIGHTS = {"on": "change", "off": "change", "run-now": "run_now", "delete": "delete"}


@dataclass(frozen=True, kw_only=True)
class ScheduleShown:
    view: people.ScheduleView
    last: TaskView | None


def show_list(visit: Visit) -> HttpResponse:
    after = visit.request.GET.get("after", "")
    views = list(people.list_schedules(3, after=after, limit=PAGE))
    last, away = last_tasks([each.row for each in views], with_arguments=visit.rights.view_arguments)
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
    past, away = past_runs(row, LAST, with_arguments=visit.rights.view_arguments)
    return visit.render(
        "schedule.html",
        row.name,
        "schedules",
        away=away,
        schedule=found,
        row=row,
        zone=str(zone),
        runs=runs_of(found.next, zone),
        past=past,
        no_runs=no_runs_words(row),
        call=call_of(row) if visit.rights.view_arguments else None,
        history=history.of_row(row),
        is_peoples=row.source == "people",
        can_delete=visit.rights.has("delete") and (row.source == "people" or row.retired_at is not None),
    )


@needs_post
def act(visit: Visit, id_: str) -> HttpResponse:
    row = find(id_)
    action = deed_of(visit.request.POST, SCHEDULE_ACTIONS)
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
