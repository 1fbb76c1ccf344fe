"""The pages: all runs, one run, and the same run as JSON for the script that keeps its page fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from reinhardt_tasks.workflows import StepStatus

from .charts import bar_chart, state_strip
from .models import Run
from .runs import Progress, progress_of, start, workflow_run

COUNTED = ("lines", "classes", "functions", "imports")
PARTS = ("progress", "results", "steps", "failures")


@require_GET
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    for run in Run.objects.filter(finished_at=None)[:5]:
        progress_of(run)
    runs = Run.objects.annotate(files=Count("file_counts"), lines=Sum("file_counts__lines")).order_by("-pk")[:50]
    return render(request, "census/index.html", {"runs": runs, "default_root": settings.CENSUS_ROOT})


@require_POST
@staff_member_required
def begin(request: HttpRequest) -> HttpResponse:
    """Start a census of the site's tree; what to read from the disk is not for a form to say."""
    return redirect(start(Path(settings.CENSUS_ROOT)))


@require_GET
@never_cache
def show(request: HttpRequest, run_id: int) -> HttpResponse:
    run, progress = _fresh(run_id)
    return render(request, "census/run.html", _context(run, progress))


@require_GET
@never_cache
def live(request: HttpRequest, run_id: int) -> JsonResponse:
    """Tell how far a run is, with its page's parts drawn anew."""
    run, progress = _fresh(run_id)
    context = _context(run, progress)
    return JsonResponse(
        {
            "done": progress.done,
            "total": progress.total,
            "states": progress.states,
            "ended": progress.has_ended,
            "parts": {part: render_to_string(f"census/_{part}.html", context, request) for part in PARTS},
        }
    )


def _fresh(run_id: int) -> tuple[Run, Progress]:
    run = get_object_or_404(Run, pk=run_id)
    return run, progress_of(run)


def _context(run: Run, progress: Progress) -> dict[str, Any]:
    counts = run.file_counts
    packages = list(
        counts.values("package").annotate(files=Count("pk"), **{name: Sum(name) for name in COUNTED}).order_by("-lines")
    )
    workflow = workflow_run(run)
    failed = [StepStatus.FAILURE, StepStatus.CANCELLED]
    return {
        "run": run,
        "progress": progress,
        "strip": state_strip(progress.states),
        "totals": counts.aggregate(files=Count("pk"), **{name: Sum(name) for name in COUNTED}),
        "packages": packages[:12],
        "packages_total": len(packages),
        "chart": bar_chart((row["package"], row["lines"]) for row in packages[:12]),
        "largest": counts.order_by("-lines", "path")[:12],
        "workflow": workflow,
        # The steps as they were written: those for the files are one.
        "steps": workflow.steps(members=False) if workflow else [],
        "failures": workflow.steps(statuses=failed, limit=50) if workflow else [],
        "unreadable": counts.exclude(problem="")[:50],
    }
