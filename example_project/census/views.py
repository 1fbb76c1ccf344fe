"""The pages: all runs, one run, and the same run as JSON for the script that keeps its page fresh."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from .charts import bar_chart, state_strip
from .models import Run, Step
from .runs import DEFAULT_ROOT, NothingToCount, Progress, progress_of, refresh, start

COUNTED = ("lines", "classes", "functions", "imports")
PARTS = ("progress", "results", "errands", "failures")


@require_GET
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    for run in Run.objects.filter(finished_at=None)[:5]:
        refresh(run)
    runs = Run.objects.annotate(files=Count("file_counts"), lines=Sum("file_counts__lines")).order_by("-pk")[:50]
    return render(request, "census/index.html", {"runs": runs, "default_root": DEFAULT_ROOT})


@require_POST
@staff_member_required
def begin(request: HttpRequest) -> HttpResponse:
    """Start a census of the default tree; what to read from the disk is not for a form to say."""
    try:
        run = start(DEFAULT_ROOT)
    except NothingToCount as exc:
        messages.error(request, str(exc))
        return redirect("census:index")
    return redirect(run)


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
    if run.finished_at is None:
        refresh(run)
    return run, progress_of(run)


def _context(run: Run, progress: Progress) -> dict[str, Any]:
    counts = run.file_counts
    packages = list(
        counts.values("package").annotate(files=Count("pk"), **{name: Sum(name) for name in COUNTED}).order_by("-lines")
    )
    return {
        "run": run,
        "progress": progress,
        "strip": state_strip(progress.states),
        "totals": counts.aggregate(files=Count("pk"), **{name: Sum(name) for name in COUNTED}),
        "packages": packages[:12],
        "packages_total": len(packages),
        "chart": bar_chart((row["package"], row["lines"]) for row in packages[:12]),
        "largest": counts.order_by("-lines", "path")[:12],
        "errands": run.steps.exclude(kind=Step.Kind.FILE),
        "failures": run.steps.filter(Q(state="FAILURE") | Q(state="CANCELLED")).order_by("kind", "pk")[:50],
        "unreadable": counts.exclude(problem="")[:50],
    }
