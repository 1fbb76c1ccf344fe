"""Finding the project's tasks at start: the `tasks` module of every installed app is imported, and what it has is registered."""

from __future__ import annotations

import sys

from django.apps import apps
from django.utils.module_loading import autodiscover_modules

from ._compat import CoreTask
from .registry import registry


def discover() -> None:
    """Import each app's `tasks` module. Tasks that Django's own decorator made for another backend are registered too:
    `.using(backend=…)` may send them here."""
    autodiscover_modules("tasks")
    for config in apps.get_app_configs():
        module = sys.modules.get(f"{config.name}.tasks")
        for value in list(vars(module).values()) if module else ():
            if isinstance(value, CoreTask):
                registry.register(value)
