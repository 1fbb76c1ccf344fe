"""The app. When it is ready, the `tasks` module of every installed app has been imported."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReinhardtTasksConfig(AppConfig):
    name = "reinhardt_tasks"
    verbose_name = _("Background tasks")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401
        from .discovery import discover
        from .followers import FOLLOWERS
        from .workflow_states import HEADER
        from .workflows.following import StepFollower

        FOLLOWERS[HEADER] = StepFollower()
        discover()
