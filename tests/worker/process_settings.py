"""The tests' settings for workers in processes of their own: REINHARDT_TEST_TASKS says, as JSON, what TASKS is.

So does REINHARDT_TEST_LOGGING of LOGGING, which is Django's own otherwise.
"""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS

# Without the admin, which no worker here needs: its import is a quarter of a process's start, and there are hundreds. Workers
# of projects that have it are those of the example site and of the documents.
_OF_THE_ADMIN = {"django.contrib.admin", "django.contrib.messages", "django.contrib.sessions"}
INSTALLED_APPS = [app for app in _APPS if app not in _OF_THE_ADMIN]
MIDDLEWARE: list[str] = []
TEMPLATES: list[object] = []
ROOT_URLCONF = None

if given := os.environ.get("REINHARDT_TEST_TASKS"):
    TASKS = json.loads(given)

if given := os.environ.get("REINHARDT_TEST_LOGGING"):
    LOGGING = json.loads(given)
