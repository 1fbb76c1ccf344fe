"""The pages about schedules."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from django.http import HttpRequest

from ..operations.schedules import reading_schedules
from . import schedule_editing, schedule_pages
from .pages import PagesAdmin
from .rights import ScheduleRights


class SchedulesAdmin(PagesAdmin):
    """What declares a schedule in code or settings is shown, and switched on and off; others are edited too."""

    rights_kind = ScheduleRights
    pages = [
        ("", schedule_pages.show_list, "changelist"),
        ("add/", schedule_editing.add, "add"),
        ("<path:id_>/change/", schedule_pages.show, "change"),
        ("<path:id_>/edit/", schedule_editing.edit_one, "edit"),
        ("<path:id_>/act/", schedule_pages.act, "act"),
    ]

    def reading(self) -> AbstractContextManager[None]:
        return reading_schedules()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.rights(request).may_add)
