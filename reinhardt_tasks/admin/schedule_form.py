"""What a schedule of people's own is made of, as a form: all that cannot be is told at once, each at its field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .._compat import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY, CoreTask, InvalidTask
from ..calls import check_call
from ..exceptions import InvalidSchedule, TaskNotFound
from ..models import ScheduleRow
from ..operations import aliases
from ..operations.schedule_runs import Preview, preview
from ..operations.schedules import schedule_by
from ..registry import registry
from ..schedules import CronSchedule
from ..schedules.moments import seconds_of
from ..scheduling import people
from .fields import JSONTextField, MomentField

_KINDS = [
    ("cron", gettext_lazy("by a cron expression")),
    ("interval", gettext_lazy("at an interval")),
    ("at", gettext_lazy("once, at a time")),
]
#: Fields that say something of some kinds only.
_OF_KINDS = {
    "expression": ("cron",),
    "seconds": ("cron",),
    "tz": ("cron",),
    "every": ("interval",),
    "at": ("at",),
    "overlap": ("cron", "interval"),
    "start": ("cron", "interval"),
    "end": ("cron", "interval"),
}
#: Options of a schedule → the fields that each is made of, where these are not one of its name. A kind has no fields of another.
_MADE_OF = {
    "schedule": {"kind", "expression", "seconds", "tz", "every", "at"},
    "overlap": {"overlap", "kind"},
    "start": {"start", "kind"},
    "end": {"end", "kind"},
}
_GROUPS = [
    (gettext_lazy("Task and arguments"), ("name", "task", "args", "kwargs")),
    (
        gettext_lazy("Times"),
        ("kind", "expression", "seconds", "tz", "every", "at", "start", "end", "jitter", "enabled"),
    ),
    (gettext_lazy("Queue and rules"), ("backend", "queue_name", "priority", "catch_up", "overlap")),
]


class ScheduleForm(forms.Form):
    """What was entered in fields that are not for the kind that `kind` names is left alone."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    task = forms.CharField(label=gettext_lazy("Task"), max_length=255)
    args = JSONTextField(list, label=gettext_lazy("Arguments by position, a JSON list"), initial="[]")
    kwargs = JSONTextField(dict, label=gettext_lazy("Arguments by name, a JSON object"), initial="{}")
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
    every = forms.FloatField(label=gettext_lazy("Interval in seconds"), required=False, min_value=1)
    at = MomentField(label=gettext_lazy("Time"))
    start = MomentField(label=gettext_lazy("Starts at"))
    end = MomentField(label=gettext_lazy("Ends at"))
    jitter = forms.FloatField(
        label=gettext_lazy("Jitter in seconds"),
        required=False,
        min_value=0,
        help_text=gettext_lazy("Each run is put off by up to so much."),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Switched on"), required=False, initial=True)
    backend = forms.ChoiceField(label=gettext_lazy("Backend"), required=False)
    queue_name = forms.CharField(
        label=gettext_lazy("Queue"), required=False, help_text=gettext_lazy("Empty: the task's own.")
    )
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        required=False,
        min_value=TASK_MIN_PRIORITY,
        max_value=TASK_MAX_PRIORITY,
        help_text=gettext_lazy("From -100 to 100; higher runs first. Empty: the task's own."),
    )
    catch_up = forms.ChoiceField(label=gettext_lazy("After an outage"), initial="latest")
    overlap = forms.ChoiceField(label=gettext_lazy("While the last run is going"), required=False, initial="allow")

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
            for name in ("args", "kwargs"):
                self.fields[name].required = False
                self.fields[name].help_text = _("Empty: as they are stored.")
            for name in self.fields.keys() - {"name"}:
                # So that it is known what was changed here, and not by somebody else since it was shown.
                self.fields[name].show_hidden_initial = True

    @property
    def names(self) -> list[str]:
        return sorted(registry.list())

    @property
    def groups(self) -> list[tuple[Any, list[tuple[forms.BoundField, Sequence[str]]]]]:
        """The fields under their headings, each with the kinds that it is for; none are named where it is for all."""
        return [(title, [(self[name], _OF_KINDS.get(name, ())) for name in names]) for title, names in _GROUPS]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._leave_other_kinds(cleaned)
        if "name" in cleaned and not self.fields["name"].disabled:
            with self._told_at("name"):
                people.check_name(cleaned["name"])
        self._check_times(cleaned)
        if "task" in cleaned:
            with self._told_at("task"):
                self._check_call(registry.get(cleaned["task"]), cleaned)
        return cleaned

    def values(self) -> dict[str, Any]:
        """Return what was entered as the options of a schedule."""
        given = self.cleaned_data
        call = {name: given[name] for name in ("args", "kwargs") if given[name] is not None}
        return call | {
            "task": given["task"],
            "schedule": self._schedule(given),
            "backend": given["backend"] or None,
            "queue_name": given["queue_name"] or None,
            "priority": given["priority"],
            "catch_up": given["catch_up"],
            "overlap": given["overlap"] or "allow",
            "start": given["start"],
            "end": given["end"],
            "jitter": given["jitter"] or 0,
            "enabled": given["enabled"],
        }

    def changes(self) -> dict[str, Any]:
        """Return those of the values that were changed in the form: what somebody else changed meanwhile stays."""
        values = self.values()
        if not any(name.startswith("initial-") for name in self.data):
            # It was posted by a program, which was shown nothing.
            return values
        changed = set(self.changed_data)
        return {name: value for name, value in values.items() if changed & _MADE_OF.get(name, {name})}

    def preview(self, number: int) -> Preview:
        """Return what was entered in words, and its next runs, counted from now on."""
        values = self.values()
        return preview(values["schedule"], number, start=values["start"], end=values["end"])

    def _leave_other_kinds(self, cleaned: dict[str, Any]) -> None:
        for name, kinds in _OF_KINDS.items():
            if cleaned.get("kind") not in kinds:
                self.errors.pop(name, None)
                cleaned[name] = None

    def _check_times(self, given: dict[str, Any]) -> None:
        kind = given.get("kind")
        if kind == "cron" and given.get("tz"):
            with self._told_at("tz"):
                CronSchedule("* * * * *", tz=given["tz"])
        for name in {"cron": ["expression"], "interval": ["every"], "at": ["at"]}.get(str(kind), []):
            if name in given:
                with self._told_at(name):
                    self._schedule(given | {"tz": None})
        if given.get("at") and "at" in self.changed_data and given["at"] <= timezone.now():
            self.add_error("at", _("This is over: it would never run."))
        if given.get("jitter"):
            with self._told_at("jitter"):
                seconds_of(given["jitter"], _("The jitter"))
        if given.get("start") and given.get("end") and given["end"] < given["start"]:
            self.add_error("end", _("This is before it starts."))

    def _check_call(self, task: CoreTask, given: dict[str, Any]) -> None:
        if "backend" in given and "queue_name" in given:
            with self._told_at("queue_name"):
                changes = {"backend": given["backend"], "queue_name": given["queue_name"]}
                task.using(**{name: value for name, value in changes.items() if value})
        # Where some stay as they are stored, whoever stores it looks.
        if given.get("args") is not None and given.get("kwargs") is not None:
            with self._told_at("args"):
                check_call(task, given["args"], given["kwargs"])

    def _schedule(self, given: dict[str, Any]) -> Any:
        match given["kind"]:
            case "cron":
                if not given["expression"]:
                    raise InvalidSchedule(_("Say at which times it is to run."))
                return schedule_by(cron=given["expression"], seconds=given["seconds"], tz=given["tz"])
            case "interval":
                if given["every"] is None:
                    raise InvalidSchedule(_("Say how many seconds lie between two runs."))
                return schedule_by(every=seconds_of(given["every"], _("The interval")))
        if given["at"] is None:
            raise InvalidSchedule(_("Say when it is to run."))
        return schedule_by(at=given["at"])

    @contextmanager
    def _told_at(self, name: str) -> Iterator[None]:
        """Tell at a field why what is done here cannot be."""
        try:
            yield
        except (InvalidSchedule, InvalidTask, TaskNotFound, ImproperlyConfigured, TypeError) as exc:
            self.add_error(name, str(exc))
