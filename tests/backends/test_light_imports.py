"""What a project does not use is not in its workers' memory."""

from __future__ import annotations

import subprocess
import sys

from tests.databases import environment_for_processes

CODE = """
import sys, django
django.setup()
from reinhardt_tasks._compat import task_backends
assert task_backends["default"].broker
print("redis" in sys.modules)
from reinhardt_tasks.backends import RedisBackend
print("redis" in sys.modules)
"""


def test_redis_is_imported_for_those_who_keep_tasks_there_only() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CODE], env=environment_for_processes(), capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["False", "True"]
