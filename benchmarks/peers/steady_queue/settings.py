from __future__ import annotations

from benchmarks.project import DATABASES, DEBUG, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ

INSTALLED_APPS = ["steady_queue", "benchmarks"]
TASKS = {"default": {"BACKEND": "steady_queue.backend.SteadyQueueBackend", "QUEUES": ["default"], "OPTIONS": {}}}

__all__ = ["DATABASES", "DEBUG", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "TASKS", "USE_TZ"]
