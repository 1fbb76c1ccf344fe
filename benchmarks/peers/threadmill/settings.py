from __future__ import annotations

from benchmarks.project import DATABASES, DEBUG, DEFAULT_AUTO_FIELD, REDIS_URL, SECRET_KEY, USE_TZ

INSTALLED_APPS = ["threadmill", "benchmarks"]
TASKS = {"default": {"BACKEND": "threadmill.backends.redis.RedisTaskBackend", "REDIS_URL": REDIS_URL}}

__all__ = ["DATABASES", "DEBUG", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "TASKS", "USE_TZ"]
