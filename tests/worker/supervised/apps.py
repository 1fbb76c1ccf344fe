"""The app's start: some constants as the environment wants them."""

from __future__ import annotations

import os
import sys

from django.apps import AppConfig


class SupervisedConfig(AppConfig):
    name = "tests.worker.supervised"
    label = "supervised"

    def ready(self) -> None:
        from reinhardt_tasks.worker import supervisor, worker

        _refuse_once()
        for module, name in ((supervisor, "GRACE"), (supervisor, "STALLED"), (worker, "LATE")):
            if given := os.environ.get(f"REINHARDT_TEST_{name}"):
                setattr(module, name, float(given))


def _refuse_once() -> None:
    """Let the first process that is spawned fail at its start, where the environment says so."""
    path = os.environ.get("REINHARDT_TEST_REFUSES_ONCE")
    if path is not None and sys.argv[0] == "-c" and not os.path.exists(f"{path}.refused"):
        open(f"{path}.refused", "w").close()
        raise RuntimeError("This process is not to start.")
