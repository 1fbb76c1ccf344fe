from __future__ import annotations

from benchmarks.project import DATABASES, DEBUG, DEFAULT_AUTO_FIELD, REDIS_URL, SECRET_KEY, USE_TZ

INSTALLED_APPS = ["django_tasks_redis", "benchmarks"]
TASKS = {
    "default": {"BACKEND": "django_tasks_redis.RedisTaskBackend", "QUEUES": [], "OPTIONS": {"REDIS_URL": REDIS_URL}}
}

__all__ = ["DATABASES", "DEBUG", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "TASKS", "USE_TZ"]
