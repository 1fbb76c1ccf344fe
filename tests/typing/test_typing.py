"""A type checker sees a task's parameters and its result: in this tree, and in a project that has the package installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SAMPLE = Path(__file__).with_name("sample.py")
SAMPLE_OF_DJANGO = Path(__file__).with_name("sample_of_django.py")
ROOT = SAMPLE.parents[2]

SETTINGS = """
    INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "reinhardt_tasks", "shop"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
    TASKS = {"default": {"BACKEND": "reinhardt_tasks.backends.DatabaseBackend", "QUEUES": []}}
    SECRET_KEY = "of a project"
"""
#: As django-stubs tells its users to begin.
MYPY = """
    [mypy]
    strict = True
    warn_unused_ignores = True
    plugins = mypy_django_plugin.main
    [mypy.plugins.django-stubs]
    django_settings_module = settings
"""
NO_MYPY = "mypy or django-stubs is not installed: pip install 'reinhardt-tasks[types]'"
NO_PYRIGHT = "basedpyright is not installed: pip install 'reinhardt-tasks[types]'"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A site with an app that has the sample for its tasks, and one of Django's own decorator."""
    app = tmp_path / "shop"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "tasks.py").write_text(SAMPLE.read_text())
    # Not a `tasks` module, which would be imported when the plugin sets up Django: 5.2 has no decorator of its own.
    (app / "shipping.py").write_text(SAMPLE_OF_DJANGO.read_text())
    (tmp_path / "settings.py").write_text(dedent(SETTINGS))
    (tmp_path / "mypy.ini").write_text(dedent(MYPY))
    return tmp_path


def mypy(place: Path, target: str, cache: Path) -> None:
    pytest.importorskip("mypy_django_plugin", reason=NO_MYPY)
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(cache), target]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def pyright(place: Path, target: str, **settings: object) -> None:
    # Packed with all that it needs; what PyPI has as `pyright` downloads it when it is first called.
    pytest.importorskip("basedpyright", reason=NO_PYRIGHT)
    config = place / "pyrightconfig.json"
    always = {"typeCheckingMode": "standard", "reportUnnecessaryTypeIgnoreComment": "error"}
    config.write_text(json.dumps({"include": [target], **always, **settings}))
    command = [sys.executable, "-m", "basedpyright", "--project", str(config), "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_sees_parameters_and_results(tmp_path: Path) -> None:
    mypy(ROOT, str(SAMPLE), tmp_path)


def test_pyright_sees_parameters_and_results(tmp_path: Path) -> None:
    pyright(tmp_path, str(SAMPLE), extraPaths=[str(ROOT)])


def test_mypy_sees_them_in_a_project_with_django_stubs(project: Path) -> None:
    mypy(project, "shop", project / "cache")


def test_pyright_sees_them_in_a_project(project: Path) -> None:
    pyright(project, "shop")
