"""Projects that do without Django's admin: nothing of the pages is in their way."""

from __future__ import annotations

import subprocess
import sys

PROJECT = """
import django
from django.conf import settings
from django.core.management import call_command
from django.template import engines

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", *(["django_tasks"] if django.VERSION < (6, 0) else []), "reinhardt_tasks"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TASKS={"default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
call_command("check")
call_command("migrate", verbosity=0)
print(engines["django"].from_string("{% load reinhardt_tasks_admin %}{{ 90|span }}").render())
"""


def test_a_project_without_the_admin_starts_and_renders() -> None:
    done = subprocess.run([sys.executable, "-c", PROJECT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "1 min 30 s" in done.stdout
