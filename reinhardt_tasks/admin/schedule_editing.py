"""A schedule of people's own: made, and changed, by a form."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import ADDITION
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from ..exceptions import InvalidSchedule, OperationRefused, SerializationFailed
from ..models import ScheduleRow
from ..operations.schedules import call_of, edit_schedule
from ..schedules import At, CronSchedule, IntervalSchedule
from ..scheduling import people
from ..scheduling.rows import schedule_of_row
from ..serialization import shown_json
from . import history
from .schedule_form import ScheduleForm
from .schedule_pages import NEXT, find
from .visits import Visit


def add(visit: Visit) -> HttpResponse:
    if not visit.rights.may_add:
        raise PermissionDenied
    form = ScheduleForm(visit.request.POST if visit.request.method == "POST" else None)
    if form.is_valid() and not _wants_preview(visit):
        try:
            row = people.create(form.cleaned_data["name"], **form.values())
        except (InvalidSchedule, SerializationFailed, OperationRefused) as exc:
            form.add_error(None, str(exc))
        else:
            history.happened(visit.request, row, gettext_noop("Made."), ADDITION)
            visit.say(_("Schedule {name} was made.").format(name=row.name))
            return visit.redirect(visit.url("schedulerow_change", str(row.pk)))
    return _shown(visit, _("Add a schedule"), form, None)


def edit_one(visit: Visit, id_: str) -> HttpResponse:
    if not visit.rights.may_edit:
        raise PermissionDenied
    row = find(id_)
    if row.source != "people":
        raise OperationRefused(_("This schedule is declared in code or settings: change it there."))
    form = ScheduleForm(visit.request.POST if visit.request.method == "POST" else None, _initial(row))
    if form.is_valid() and not _wants_preview(visit):
        try:
            edit_schedule(row, form.changes())
        except (InvalidSchedule, SerializationFailed, OperationRefused) as exc:
            form.add_error(None, str(exc))
        else:
            history.happened(visit.request, row, gettext_noop("Edited."))
            visit.say(_("The schedule was changed."))
            return visit.redirect(visit.url("schedulerow_change", str(row.pk)))
    return _shown(visit, _("Edit a schedule"), form, row)


def _wants_preview(visit: Visit) -> bool:
    return "preview" in visit.request.POST


def _shown(visit: Visit, title: str, form: ScheduleForm, row: ScheduleRow | None) -> HttpResponse:
    preview = form.preview(NEXT) if _wants_preview(visit) and form.is_valid() else None
    return visit.render("schedule_edit.html", title, "schedules", form=form, row=row, preview=preview)


def _initial(row: ScheduleRow) -> dict[str, Any]:
    call = call_of(row)
    initial: dict[str, Any] = {
        "name": row.name,
        "task": row.task,
        # Where they cannot be shown they are left as they are: see the form's help.
        "args": "" if call is None else shown_json(call.args, indent=2),
        "kwargs": "" if call is None else shown_json(call.kwargs, indent=2),
        "backend": row.alias or "",
        "queue_name": row.queue or "",
        "priority": row.priority,
        "catch_up": row.catch_up,
        "overlap": row.overlap,
        "start": row.start_at,
        "end": row.end_at,
        "jitter": row.jitter or None,
        "enabled": row.enabled,
    }
    try:
        schedule = schedule_of_row(row)
    except InvalidSchedule:
        return initial
    match schedule:
        case CronSchedule():
            initial |= {"kind": "cron", "expression": schedule.expression, "tz": schedule.tz or ""}
            initial["seconds"] = schedule.seconds
        case IntervalSchedule():
            initial |= {"kind": "interval", "every": schedule.every.total_seconds()}
        case At():
            initial |= {"kind": "at", "at": schedule.moment}
    return initial
