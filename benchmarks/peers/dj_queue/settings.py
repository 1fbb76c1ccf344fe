from __future__ import annotations

from benchmarks.project import DATABASES, DEBUG, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ

INSTALLED_APPS = ["dj_queue", "benchmarks"]
TASKS = {"default": {"BACKEND": "dj_queue.backend.DjQueueBackend", "QUEUES": [], "OPTIONS": {}}}
DATABASE_ROUTERS = ["dj_queue.routers.DjQueueRouter"]

__all__ = ["DATABASES", "DEBUG", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "TASKS", "USE_TZ"]
