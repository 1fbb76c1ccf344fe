"""The tests' settings for workers in processes of their own: REINHARDT_TEST_TASKS says, as JSON, what TASKS is."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403

if given := os.environ.get("REINHARDT_TEST_TASKS"):
    TASKS = json.loads(given)
