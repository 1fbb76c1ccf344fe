"""Settings of the census site: SQLite by default; environment variables change that, and more.

CENSUS_DB         path of the SQLite file (default: var/census.sqlite3 beside manage.py)
CENSUS_REDIS_URL  where it is set, tasks go to this Redis instead of the database
CENSUS_ROOT       the source tree to count (default: the installed Django)
CENSUS_NIGHTLY    when the nightly census begins, in Berlin: a cron expression with seconds (default: at three)
"""

from __future__ import annotations

import os
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE_FILE = Path(os.environ.get("CENSUS_DB", BASE_DIR / "var" / "census.sqlite3")).resolve()
DATABASE_FILE.parent.mkdir(parents=True, exist_ok=True)

CENSUS_ROOT = os.environ.get("CENSUS_ROOT", str(Path(django.__file__).parent))
CENSUS_NIGHTLY = os.environ.get("CENSUS_NIGHTLY", "0 0 3 * * *")

# This site is for one's own machine: it listens on loopback only. A site for others sets its own key and DEBUG = False.
SECRET_KEY = os.environ.get("CENSUS_SECRET_KEY", "census-demo-key-for-loopback-only")
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "reinhardt_tasks",
    "census",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # The admin speaks Japanese to a browser that asks for it; the site's own pages are English.
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "census_site.urls"
WSGI_APPLICATION = "census_site.wsgi.application"

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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE_FILE,
        "OPTIONS": {
            # WAL lets the site read while the workers write; IMMEDIATE makes a writer wait its turn instead of failing
            # in the middle of a transaction with "database is locked".
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

QUEUES = ["default", "files", "emails"]
TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "QUEUES": QUEUES, "OPTIONS": {}}}
if redis_url := os.environ.get("CENSUS_REDIS_URL"):
    TASKS["default"] = {
        "BACKEND": "reinhardt_tasks.backends.RedisBackend",
        "QUEUES": QUEUES,
        "OPTIONS": {"URL": redis_url},
    }

# What the tasks log from INFO on is kept with them. Where it is printed is another matter: here, nowhere but for warnings.
LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"census": {"level": "INFO"}}}

EMAIL_BACKEND = "census.postoffice.GreylistingBackend"
EMAIL_FILE_PATH = DATABASE_FILE.parent / "mail"
DEFAULT_FROM_EMAIL = "census@example.org"

STATIC_URL = "static/"
LOGIN_URL = "admin:login"
LANGUAGE_CODE = "en-us"
LANGUAGES = [("en-us", "English"), ("ja", "日本語")]
TIME_ZONE = "UTC"
USE_TZ = True
