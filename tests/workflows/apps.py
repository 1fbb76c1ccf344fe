"""An app, so that workers in processes of their own find the tasks of this folder."""

from __future__ import annotations

import os

from django.apps import AppConfig


class WorkflowTestsConfig(AppConfig):
    name = "tests.workflows"
    label = "workflow_tests"

    def ready(self) -> None:
        if place := os.environ.get("REINHARDT_TEST_DIE_AT"):
            from .crashing import die_at

            die_at(place)
