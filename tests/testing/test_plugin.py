"""The plugin for pytest: there wherever the package is installed, and of no weight where it is not used."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

LOAD = "import sys, reinhardt_tasks.pytest_plugin; print([name for name in sys.modules if name.partition('.')[0] == 'django'])"

SETTINGS = """
SECRET_KEY = "for tests only"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "reinhardt_tasks"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "QUEUES": []}}
"""
TASKS = """
from reinhardt_tasks import task

@task
def double(number):
    return 2 * number
"""
TESTS = """
import pytest
from django.test import TestCase
from reinhardt_tasks.testing import CapturedTasksMixin
from work import double

@pytest.mark.parametrize("number", range(20))
def test_fixture(reinhardt_tasks, number):
    reinhardt_tasks.assert_nothing_enqueued()
    double.enqueue(number)
    assert [one.return_value for one in reinhardt_tasks.drain()] == [2 * number]

class DoubleTest(CapturedTasksMixin, TestCase):
    def test_mixin(self):
        double.enqueue(4)
        self.assertEqual(self.tasks.drain()[0].return_value, 8)
"""


def test_the_plugin_is_an_entry_point() -> None:
    [found] = entry_points(group="pytest11", name="reinhardt_tasks")
    assert found.value == "reinhardt_tasks.pytest_plugin"


def test_loading_the_plugin_loads_nothing_of_django() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "command",
    [["-m", "pytest", "-q", "-n", "2", "test_work.py"], ["-m", "django", "test", "--verbosity", "0"]],
    ids=["pytest with xdist", "unittest"],
)
def test_a_site_tests_its_tasks(tmp_path: Path, command: list[str]) -> None:
    for name, text in {
        "conf.py": SETTINGS,
        "work.py": TASKS,
        "test_work.py": TESTS,
        "pytest.ini": "[pytest]\n",
    }.items():
        (tmp_path / name).write_text(text)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "REINHARDT_"))},
        "DJANGO_SETTINGS_MODULE": "conf",
        "PYTHONPATH": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "21 passed" in done.stdout or "OK" in done.stderr
