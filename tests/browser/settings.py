"""A site for the browser: static files, languages, and a Content-Security-Policy that allows the site itself only."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.staticfiles", "tests.browser"]
MIDDLEWARE = [
    "tests.browser.policy.StrictPolicy",
    *MIDDLEWARE[:1],
    "django.middleware.locale.LocaleMiddleware",
    *MIDDLEWARE[1:],
]
LANGUAGES = [("en", "English"), ("ja", "日本語")]
LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"tests.browser": {"level": "INFO"}}}
TASKS = {
    "default": {
        "BACKEND": "reinhardt_tasks.backends.DatabaseBackend",
        "QUEUES": ["default", "parcels"],
        "OPTIONS": {"MAX_ATTEMPTS": 1},
    },
}
