"""Workflows: how far each is, a drawing of its steps, the steps one by one; cancel, retry, retry from where it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..exceptions import WorkflowNotFound
from ..models import WorkflowRow
from ..operations.workflow_progress import WorkflowProgress, progress_of_runs
from ..operations.workflows import WORKFLOW_ACTIONS
from ..workflow_states import ChainStatus, StepStatus
from ..workflows.reading import has_for_each
from ..workflows.runs import StepView, WorkflowRun, get_workflow, list_workflows, steps_of
from . import history
from .drawings import MOST_STEPS, Drawing, StepCounts, counts_of, drawing_of
from .visits import Visit, after_of, deed_of, needs_post

#: Workflows on one page, steps on one page.
PAGE, STEPS = 25, 100
#: Steps up to which a workflow's progress is counted in the list, where there are many workflows.
COUNTED = 5000

#: Tab → its label, and the states that it shows.
TABS = {
    "all": (gettext_lazy("All"), None),
    "running": (gettext_lazy("Running"), (ChainStatus.PENDING, ChainStatus.RUNNING)),
    "failed": (gettext_lazy("Failed"), (ChainStatus.FAILED,)),
    "completed": (gettext_lazy("Completed"), (ChainStatus.COMPLETED,)),
    "cancelled": (gettext_lazy("Cancelled"), (ChainStatus.CANCELLED,)),
}

#: Which steps of a workflow are shown → its label. Without `members` a step with `for_each` is one.
STEP_TABS = {
    "steps": gettext_lazy("Steps"),
    "members": gettext_lazy("With all members"),
    "failed": gettext_lazy("Failed only"),
}


@dataclass(frozen=True, kw_only=True)
class WorkflowShown:
    run: WorkflowRun
    #: None where counting its steps would cost too much here.
    progress: WorkflowProgress | None


#: Action → the right that it takes.
RIGHTS = {"retry-failed": "retry", "retry": "retry", "cancel": "cancel"}


def show_list(visit: Visit) -> HttpResponse:
    asked = visit.request.GET
    state = asked.get("state", "all")
    statuses = TABS[state][1] if state in TABS else None
    name = asked.get("name") or None
    runs = list_workflows(statuses=statuses, name=name, after=after_of(asked), limit=PAGE)
    kept = {"state": state, "name": name or ""}
    return visit.render(
        "workflows.html",
        _("Workflows"),
        "workflows",
        workflows=_shown(runs),
        state_tabs=[(label, "?" + urlencode(kept | {"state": key}), key == state) for key, (label, _s) in TABS.items()],
        state=state,
        name=name or "",
        # Those of the page, to choose from: no index has all of them.
        names=sorted({run.name for run in runs}),
        unnamed_url="?" + urlencode({"state": state}),
        next_url="?" + urlencode(kept | {"after": runs[-1].id}) if len(runs) == PAGE else "",
        first_url="?" + urlencode(kept) if asked.get("after") else "",
    )


def show(visit: Visit, id_: str) -> HttpResponse:
    run = _find(id_)
    context = _context(visit, run)
    if visit.wants_part:
        return visit.part("_workflow.html", **context)
    return visit.render(
        "workflow.html",
        run.name,
        "workflows",
        history=history.of_row(WorkflowRow(pk=run.id)),
        **context,
    )


@needs_post
def act(visit: Visit, id_: str) -> HttpResponse:
    run = _find(id_)
    deed = deed_of(visit.request.POST, WORKFLOW_ACTIONS)
    visit.require(RIGHTS[deed.name])
    if not visit.request.POST.get("confirmed"):
        return visit.render("confirm_workflow.html", deed.label, "workflows", deed=deed, run=run)
    if deed.does(run):
        history.happened(visit.request, WorkflowRow(pk=run.id, name=run.name), deed.done)
        visit.say(_("Done."))
    else:
        visit.say(_("Its state has changed meanwhile: nothing was done."), messages.WARNING)
    return visit.redirect(visit.url("workflowrow_change", run.id))


def _shown(runs: Sequence[WorkflowRun]) -> list[WorkflowShown]:
    """Return workflows with how far they are, by one question for all of them."""
    progress = progress_of_runs([run for run in runs if run.step_count <= COUNTED])
    return [WorkflowShown(run=run, progress=progress.get(run.id)) for run in runs]


def _context(visit: Visit, run: WorkflowRun) -> dict[str, Any]:
    after = visit.request.GET.get("after", "-1")
    shown = visit.request.GET.get("show", "steps")
    limit = MOST_STEPS if run.step_count <= MOST_STEPS else STEPS
    page: list[StepView] = steps_of(
        run.id,
        after=int(after) if after.lstrip("-").isdigit() and len(after) < 12 else -1,
        limit=limit,
        statuses=[StepStatus.FAILURE] if shown == "failed" else None,
        members=shown in ("members", "failed"),
    )
    drawing: Drawing | None = drawing_of(run.id)
    counts: list[StepCounts] = [] if drawing is not None else counts_of(run.id)
    progress = progress_of_runs([run])[run.id]
    return {
        "run": run,
        "deeds": [
            deed
            for deed in WORKFLOW_ACTIONS.values()
            if run.status in deed.applies_to and visit.rights.has(RIGHTS[deed.name])
        ],
        "progress": progress,
        "away": {step.backend: step.away for step in page if step.away},
        "steps": page,
        "step_tabs": _step_tabs(run, shown),
        "first_url": "" if after == "-1" else "?" + urlencode({"show": shown}),
        "next_url": "?" + urlencode({"show": shown, "after": page[-1].position}) if len(page) == limit else "",
        "drawing": drawing,
        "counts": counts,
        "step_states": list(StepStatus),
        # What ran at its end goes on, and ends later.
        "is_live": not run.is_finished or bool(progress.under_way),
        "part_query": urlencode({"part": "", "show": shown, "after": after}),
    }


def _step_tabs(run: WorkflowRun, shown: str) -> list[tuple[Any, str, bool]]:
    keys = [key for key in STEP_TABS if key != "members" or has_for_each(run.id)]
    return [(STEP_TABS[key], "?" + urlencode({"show": key}), key == shown) for key in keys]


def _find(id_: str) -> WorkflowRun:
    try:
        return get_workflow(id_)
    except WorkflowNotFound as exc:
        raise Http404(_("There is no such workflow (any more).")) from exc
