"""The settings that the small Django projects of all systems share. The environment names the store."""

from __future__ import annotations

import json
import os

from django.conf import global_settings

DATABASES = json.loads(os.environ["BENCHMARK_DATABASES"])
REDIS_URL = os.environ.get("BENCHMARK_REDIS_URL", "")

# Connections are kept: what the documentation of every one of these systems advises for workers.
for _settings in DATABASES.values():
    _settings["CONN_MAX_AGE"] = None
    if _settings["ENGINE"].endswith("mysql"):
        import pymysql

        pymysql.install_as_MySQLdb()

SECRET_KEY = "for benchmarks only"
USE_TZ = True
DEBUG = False
DEFAULT_AUTO_FIELD = global_settings.DEFAULT_AUTO_FIELD
