"""Which pages hang on which model, for any admin site."""

from __future__ import annotations

from django.contrib.admin import AdminSite

from ..models import JobRow, ScheduleRow, WorkflowRow
from .schedules import SchedulesAdmin
from .tasks import TasksAdmin
from .workflows import WorkflowsAdmin


def register(site: AdminSite) -> None:
    """Put all pages on an admin site. What is registered there already is left as it is."""
    for model, pages in ((JobRow, TasksAdmin), (ScheduleRow, SchedulesAdmin), (WorkflowRow, WorkflowsAdmin)):
        if not site.is_registered(model):
            site.register(model, pages)
