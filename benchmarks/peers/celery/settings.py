from __future__ import annotations

from benchmarks.project import DATABASES, DEBUG, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ

# Celery finds the project by DJANGO_SETTINGS_MODULE, and tidies connections around tasks as ours does.
INSTALLED_APPS = ["benchmarks"]

__all__ = ["DATABASES", "DEBUG", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "USE_TZ"]
