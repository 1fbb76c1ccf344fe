"""Django's settings for the tests. Each process has a database file of its own, unless the environment names databases."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django

if find_spec("MySQLdb") is None and find_spec("pymysql") is not None:
    import pymysql

    pymysql.install_as_MySQLdb()


def sqlite(path: Path) -> dict[str, Any]:
    """Return what DATABASES says about an SQLite file, as the documentation advises it for several processes."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        # A file for the tests too: what Django takes by default, a database in memory, has locks of another kind.
        "TEST": {"NAME": str(path.with_name(f"test_{path.name}"))},
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    }


def remove_own_folder() -> None:
    """Delete the folder that this process has made for its database, if it did."""
    # A forked child, which ends first, has inherited the call at exit too.
    if OWN_FOLDER is not None and os.getpid() == _owner:
        shutil.rmtree(OWN_FOLDER, ignore_errors=True)


# The tests' processes of their own (workers, schedulers) are told here where the tests' databases are: see databases.py.
DATABASES: dict[str, Any] = json.loads(os.environ.get("REINHARDT_TEST_DATABASES", "{}"))
OWN_FOLDER = None if "default" in DATABASES else Path(tempfile.mkdtemp(prefix="reinhardt-test-settings-"))
_owner = os.getpid()
if OWN_FOLDER is not None:
    DATABASES["default"] = sqlite(OWN_FOLDER / "default.sqlite3")
    atexit.register(remove_own_folder)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "reinhardt_tasks",
    "tests",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"

TASKS = {
    "default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "QUEUES": []},
    "immediate": {"BACKEND": "reinhardt_tasks.backends.ImmediateBackend", "QUEUES": []},
    "dummy": {"BACKEND": "reinhardt_tasks.backends.DummyBackend", "QUEUES": []},
}

SECRET_KEY = "for tests only"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
TIME_ZONE = "UTC"
