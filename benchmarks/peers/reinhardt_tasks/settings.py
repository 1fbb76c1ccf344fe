from __future__ import annotations

from benchmarks.project import DATABASES, DEBUG, DEFAULT_AUTO_FIELD, REDIS_URL, SECRET_KEY, USE_TZ

INSTALLED_APPS = ["reinhardt_tasks", "benchmarks", "benchmarks.worker"]
TASKS = {
    "default": {
        "BACKEND": f"reinhardt_tasks.backends.{'RedisBackend' if REDIS_URL else 'DatabaseBackend'}",
        "QUEUES": ["default"],
        "OPTIONS": {"URL": REDIS_URL} if REDIS_URL else {},
    }
}

__all__ = ["DATABASES", "DEBUG", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "TASKS", "USE_TZ"]
