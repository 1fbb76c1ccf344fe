"""What a project does not use is not in its processes' memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import environment_for_processes

ROOT = Path(__file__).parents[1]

ALONE = """
import sys
before = set(sys.modules)
import reinhardt_tasks
reinhardt_tasks.__all__, reinhardt_tasks.__version__
print(*{name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names})
"""
REDIS = """
import sys, django
django.setup()
from reinhardt_tasks._compat import task_backends
assert task_backends["default"].broker
print("redis" in sys.modules)
from reinhardt_tasks.backends import RedisBackend
print("redis" in sys.modules)
"""

#: What a process has no use for that only enqueues, in a database.
HEAVY = [
    "croniter",
    "dateutil",
    "django_redis",
    "hiredis",
    "opentelemetry",
    "prometheus_client",
    "pytest",
    "redis",
    "reinhardt_tasks.admin",
    "reinhardt_tasks.brokers.memory",
    "reinhardt_tasks.brokers.redis",
    "reinhardt_tasks.contrib",
    "reinhardt_tasks.management.commands",
    "reinhardt_tasks.operations",
    "reinhardt_tasks.scheduling",
    "reinhardt_tasks.testing",
    "reinhardt_tasks.worker",
    "rich",
]


def printed(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment_for_processes(), capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def modules() -> set[str]:
    """All modules that a web process has imported after its first `enqueue()`."""
    return set(json.loads(printed("-m", "tests.light_site", "enqueued"))["modules"])


def test_importing_the_package_imports_nothing_else() -> None:
    assert printed("-c", ALONE).split() == ["reinhardt_tasks"]


@pytest.mark.parametrize("name", HEAVY)
def test_whoever_only_enqueues_in_a_database_does_without(name: str, modules: set[str]) -> None:
    assert name not in modules


def test_such_a_process_has_what_it_uses(modules: set[str]) -> None:
    assert modules >= {"django.db.models", "reinhardt_tasks.backends.database", "reinhardt_tasks.brokers.database"}


def test_redis_is_imported_for_those_who_keep_tasks_there_only() -> None:
    assert printed("-c", REDIS).split() == ["False", "True"]
