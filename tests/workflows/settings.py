"""The settings of the tests' workers, with the tasks of this folder."""

from __future__ import annotations

from tests.worker.process_settings import *  # noqa: F403
from tests.worker.process_settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.workflows"]
