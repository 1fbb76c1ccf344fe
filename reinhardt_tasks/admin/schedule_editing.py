"""A schedule of people's own: made, and changed, by a form that is checked by what will fire it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin.models import ADDITION
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from ..exceptions import InvalidSchedule, OperationRefused, SerializationFailed
from ..models import ScheduleRow
from ..operations import aliases
from ..operations.schedules import call_of, edit_schedule, schedule_by
from ..registry import registry
from ..schedules import At, CronSchedule, IntervalSchedule
from ..scheduling import people
from ..scheduling.rows import schedule_of_row
from . import history
from .fields import JSONTextField, MomentField
from .schedule_pages import find
from .visits import Visit

_KINDS = [
    ("cron", gettext_lazy("by a cron expression")),
    ("interval", gettext_lazy("at an interval")),
    ("at", gettext_lazy("once, at a time")),
]


class ScheduleForm(forms.Form):
    """What a schedule is made of. Which of the times counts is said by `kind`."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    task = forms.CharField(label=gettext_lazy("Task"), max_length=255)
    kind = forms.ChoiceField(label=gettext_lazy("Runs"), choices=_KINDS)
    expression = forms.CharField(
        label=gettext_lazy("Cron expression"),
        required=False,
        help_text=gettext_lazy("Minute, hour, day of the month, month, day of the week: 0 3 * * mon-fri"),
    )
    seconds = forms.BooleanField(
        label=gettext_lazy("With seconds"),
        required=False,
        help_text=gettext_lazy("The expression has six fields, and the second stands first."),
    )
    tz = forms.CharField(
        label=gettext_lazy("Time zone"),
        required=False,
        help_text=gettext_lazy("Such as Europe/Berlin; empty: the site's."),
    )
    every = forms.FloatField(label=gettext_lazy("Interval in seconds"), required=False)
    at = MomentField(label=gettext_lazy("Time"))
    args = JSONTextField(list, label=gettext_lazy("Arguments by position, a JSON list"), initial="[]")
    kwargs = JSONTextField(dict, label=gettext_lazy("Arguments by name, a JSON object"), initial="{}")
    backend = forms.ChoiceField(label=gettext_lazy("Backend"), required=False)
    queue_name = forms.CharField(
        label=gettext_lazy("Queue"), required=False, help_text=gettext_lazy("Empty: the task's own.")
    )
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"), required=False, help_text=gettext_lazy("Empty: the task's own.")
    )
    catch_up = forms.ChoiceField(label=gettext_lazy("After an outage"), initial="latest")
    overlap = forms.ChoiceField(label=gettext_lazy("While the last run is going"), initial="allow")
    start = MomentField(label=gettext_lazy("Starts at"))
    end = MomentField(label=gettext_lazy("Ends at"))
    jitter = forms.FloatField(
        label=gettext_lazy("Jitter in seconds"),
        required=False,
        help_text=gettext_lazy("Each run is put off by up to so much."),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Switched on"), required=False, initial=True)

    def __init__(self, data: QueryDict | None = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial, auto_id="rt-%s")
        for name in ("catch_up", "overlap"):
            column: Any = ScheduleRow._meta.get_field(name)
            self.fields[name].choices = column.choices  # type: ignore[attr-defined]
        choices = [("", _("the task's own")), *((alias, alias) for alias in aliases())]
        self.fields["backend"].choices = choices  # type: ignore[attr-defined]
        self.fields["task"].widget.attrs["list"] = "rt-names"
        if initial is not None:
            # It is what everything else hangs on; another name is another schedule.
            self.fields["name"].disabled = True

    @property
    def names(self) -> list[str]:
        return sorted(registry.list())

    def values(self) -> dict[str, Any]:
        """Return what was entered as the options of a schedule. Raise InvalidSchedule where it makes no times."""
        given = self.cleaned_data
        return {
            "task": given["task"],
            "schedule": self._schedule(),
            "args": given["args"],
            "kwargs": given["kwargs"],
            "backend": given["backend"] or None,
            "queue_name": given["queue_name"] or None,
            "priority": given["priority"],
            "catch_up": given["catch_up"],
            "overlap": given["overlap"],
            "start": given["start"],
            "end": given["end"],
            "jitter": timedelta(seconds=given["jitter"] or 0),
            "enabled": given["enabled"],
        }

    def _schedule(self) -> Any:
        given = self.cleaned_data
        match given["kind"]:
            case "cron":
                return schedule_by(cron=given["expression"], seconds=given["seconds"], tz=given["tz"])
            case "interval":
                if not given["every"]:
                    raise InvalidSchedule(_("Say how many seconds lie between two runs."))
                return schedule_by(every=timedelta(seconds=given["every"]))
        if given["at"] is None:
            raise InvalidSchedule(_("Say when it is to run."))
        return schedule_by(at=given["at"])


def add(visit: Visit) -> HttpResponse:
    if not visit.rights.may_add:
        raise PermissionDenied
    form = ScheduleForm(visit.request.POST if visit.request.method == "POST" else None)
    if form.is_valid():
        try:
            row = people.create(form.cleaned_data["name"], **form.values())
        except (InvalidSchedule, SerializationFailed, OperationRefused) as exc:
            form.add_error(None, str(exc))
        else:
            history.happened(visit.request, row, gettext_noop("Made."), ADDITION)
            visit.say(_("Schedule {name} was made.").format(name=row.name))
            return visit.redirect(visit.url("schedulerow_change", str(row.pk)))
    return visit.render("schedule_edit.html", _("Add a schedule"), "schedules", form=form, row=None)


def edit_one(visit: Visit, id_: str) -> HttpResponse:
    if not visit.rights.may_edit:
        raise PermissionDenied
    row = find(id_)
    if row.source != "people":
        raise OperationRefused(_("This schedule is declared in code or settings: change it there."))
    form = ScheduleForm(visit.request.POST if visit.request.method == "POST" else None, _initial(row))
    if form.is_valid():
        try:
            edit_schedule(row, form.values())
        except (InvalidSchedule, SerializationFailed, OperationRefused) as exc:
            form.add_error(None, str(exc))
        else:
            history.happened(visit.request, row, gettext_noop("Edited."))
            visit.say(_("The schedule was changed."))
            return visit.redirect(visit.url("schedulerow_change", str(row.pk)))
    return visit.render("schedule_edit.html", _("Edit a schedule"), "schedules", form=form, row=row)


def _initial(row: ScheduleRow) -> dict[str, Any]:
    call = call_of(row)
    initial: dict[str, Any] = {
        "name": row.name,
        "task": row.task,
        "args": "[]" if call is None else json.dumps(call.args, ensure_ascii=False, indent=2),
        "kwargs": "{}" if call is None else json.dumps(call.kwargs, ensure_ascii=False, indent=2),
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
