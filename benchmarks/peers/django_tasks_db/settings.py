from __future__ import annotations

from benchmarks.project import DATABASES, DEBUG, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ

INSTALLED_APPS = ["django_tasks_db", "benchmarks"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}}

__all__ = ["DATABASES", "DEBUG", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "TASKS", "USE_TZ"]
