"""The app's start: the supervisor's constants as the environment wants them."""

from __future__ import annotations

import os

from django.apps import AppConfig


class SupervisedConfig(AppConfig):
    name = "tests.worker.supervised"
    label = "supervised"

    def ready(self) -> None:
        from reinhardt_tasks.worker import supervisor

        for name in ("GRACE", "STALLED"):
            if given := os.environ.get(f"REINHARDT_TEST_{name}"):
                setattr(supervisor, name, float(given))
