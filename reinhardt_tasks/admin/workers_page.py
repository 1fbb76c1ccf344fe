"""The workers of every backend: how they are, and what each of them runs."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ..operations import at_work
from .visits import Visit


def show(visit: Visit) -> HttpResponse:
    context = _context()
    if visit.wants_part:
        return visit.part("_workers.html", **context)
    return visit.render("workers.html", _("Workers"), "workers", **context)


def _context() -> dict[str, Any]:
    found = at_work()
    return {"workers": found.workers, "away": found.away, "now": timezone.now()}
