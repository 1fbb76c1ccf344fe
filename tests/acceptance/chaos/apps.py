"""The app's start: its tasks are found by every worker."""

from __future__ import annotations

from django.apps import AppConfig


class ChaosConfig(AppConfig):
    name = "tests.acceptance.chaos"
    label = "chaos"
