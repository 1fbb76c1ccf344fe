"""Other arguments for a task: written as JSON, checked against its function, and run with."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from ..calls import call_parameters
from ..exceptions import OperationRefused, SerializationFailed, TaskNotFound
from ..jobs import Job, TaskStatus
from ..operations import arguments_of, edit, view
from ..redaction import REDACTED
from ..registry import registry
from ..serialization import shown_json
from . import history
from .fields import JSONTextField
from .task_page import find
from .visits import Visit


class ArgumentsForm(forms.Form):
    """A call's arguments as JSON."""

    args = JSONTextField(list, label=gettext_lazy("Arguments by position, a JSON list"))
    kwargs = JSONTextField(dict, label=gettext_lazy("Arguments by name, a JSON object"))

    def __init__(self, data: QueryDict | None, initial: dict[str, str]) -> None:
        super().__init__(data, initial=initial, auto_id="rt-%s")


def show(visit: Visit, id_: str) -> HttpResponse:
    if not visit.rights.may_edit:
        raise PermissionDenied
    store, job = find(visit, id_)
    call = arguments_of(job)
    initial = {"args": _pretty(call.args), "kwargs": _pretty(call.kwargs)}
    form = ArgumentsForm(visit.request.POST if visit.request.method == "POST" else None, initial)
    if form.is_valid():
        try:
            new = edit(store, job.id, form.cleaned_data["args"], form.cleaned_data["kwargs"], seen=_seen(visit))
        except (OperationRefused, TaskNotFound, SerializationFailed) as exc:
            form.add_error(None, str(exc))
        else:
            names = dict.fromkeys((job.id, new), job.name)
            history.tasks_were(visit.request, names, gettext_noop("Arguments edited."), names=names)
            if new == job.id:
                visit.say(_("The task has its new arguments."))
            else:
                visit.say(_("Enqueued with the new arguments; this is the new task."))
            return visit.redirect(visit.url("jobrow_change", new, query={"backend": store.alias}))
    return visit.render(
        "edit.html",
        _("Edit arguments"),
        "tasks",
        task=view(job),
        store=store,
        form=form,
        signature=_signature(job),
        redacted=REDACTED if call.is_redacted else "",
        button=_button(job),
    )


def _seen(visit: Visit) -> TaskStatus | None:
    """Return the state that the task had when the form was shown: its button says what it does for that one."""
    text = visit.request.POST.get("seen", "")
    return TaskStatus(text) if text in TaskStatus.__members__ else None


def _button(job: Job) -> str:
    if job.status is TaskStatus.SUCCESS:
        return _("Enqueue a new task with these")
    return _("Save and retry") if job.status.is_finished else _("Save")


def _signature(job: Job) -> str:
    if not registry.has(job.name):
        return ""
    return ", ".join(map(str, call_parameters(registry.get(job.name))))


def _pretty(value: Any) -> str:
    return shown_json(value, indent=2)
