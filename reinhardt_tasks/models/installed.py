"""Says what to do where the app is not installed, before Django says of a model that it has no app_label."""

from __future__ import annotations

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

# Earlier than that nobody knows what is installed, and Django says that models are imported too early.
if apps.apps_ready and not apps.is_installed("reinhardt_tasks"):
    raise ImproperlyConfigured("The models of reinhardt_tasks are in use: add 'reinhardt_tasks' to INSTALLED_APPS.")
