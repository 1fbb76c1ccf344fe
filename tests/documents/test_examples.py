"""Every example of the manual runs: code, settings, tests. What does not says why, and is rare."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
import pytest

from tests.documents.pages import PAGES, ROOT, Block, all_blocks, blocks
from tests.documents.running import examples
from tests.documents.sites import SOON, Site
from tests.settings import sqlite

PYTHON = all_blocks("python")
#: Pages whose files are put together to a site by test_sites.
SITES = ["README.md", "README.ja.md", "quickstart.md", "tutorial.md"]
#: What each of them stands for is told by its page, or it is checked in test_commands.
LANGUAGES = {"python", "console", "text", "ini", "yaml", "dockerfile", "sql", "{eval-rst}"}
RUN = [block for block in PYTHON if block.why_not is None and not block.file]
SETTINGS = [block for block in RUN if block.is_settings]
TESTS = [block for block in RUN if "def test_" in block.text]
RUNNING = [page for page in PAGES if examples(page)]

#: What a project of the manual's examples has before their settings come: an app `shop` with a task, a cache.
PROJECT = """
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
SECRET_KEY = "for tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:6379/1"}}
"""
TASKS = "from reinhardt_tasks import task\n\n\n@task\ndef count_stock(): ...\n"


def test_there_is_something_to_test() -> None:
    assert len(PYTHON) > 50 and len(SETTINGS) > 10 and len(TESTS) > 5 and len(RUNNING) > 12


def test_few_examples_are_not_run_and_say_why() -> None:
    left_out = [block for block in PYTHON if block.why_not is not None]
    assert all(block.why_not for block in left_out)
    # Pages about moving in show code of other systems.
    assert len([block for block in left_out if block.page.parent.name != "moving"]) <= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_of_a_known_kind(page: Path) -> None:
    assert [str(block) for block in blocks(page) if block.language not in LANGUAGES] == []
    if page.name not in SITES:
        assert [str(block) for block in blocks(page) if block.language == "python" and block.file] == []


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the tables of `tests.settings`, to be copied."""
    path = tmp_path_factory.mktemp("tables") / "tables.sqlite3"
    _run(["-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"], ROOT, _with_database(path))
    return path


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run(page: Path, tables: Path, tmp_path: Path) -> None:
    shutil.copy(tables, tmp_path / "db.sqlite3")
    _run(["-m", "tests.documents.running", str(page)], ROOT, _with_database(tmp_path / "db.sqlite3"))


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_settings_pass_the_checks(block: Block, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "tasks.py").write_text(TASKS)
    (tmp_path / "project.py").write_text(f"{PROJECT}\n{block.text}\n{_completion(block)}")
    environment = {"DJANGO_SETTINGS_MODULE": "project", "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    _run(["-m", "django", "check", "--fail-level", "WARNING"], tmp_path, environment)


def _completion(block: Block) -> str:
    """Return what a page's settings leave out since it is not what they are about."""
    lines = ['INSTALLED_APPS += [] if "reinhardt_tasks" in INSTALLED_APPS else ["reinhardt_tasks"]']
    names = re.findall(r"^([A-Z_]+) \+?=", block.text, flags=re.MULTILINE)
    if "TASKS" not in names:
        lines.append("TASKS = {'default': {'BACKEND': 'reinhardt_tasks.backends.DatabaseBackend'}}")
    if "DATABASES" not in names:
        wal = {"init_command": "PRAGMA journal_mode=WAL", "transaction_mode": "IMMEDIATE"}
        lines.append(f"DATABASES['default']['OPTIONS'] = {wal}")
    kind = "RedisBackend" if block.page.name.startswith("redis") else "DatabaseBackend"
    for name in names:
        if name not in ("TASKS", "DATABASES", "LOGGING", "INSTALLED_APPS"):
            lines.append(f"TASKS['{name}'] = {{'BACKEND': 'reinhardt_tasks.backends.{kind}', 'OPTIONS': {name}}}")
            # So that the queues for which it has rules are there.
            lines.append(f"TASKS['{name}']['QUEUES'] = ['default', *{name}.get('QUEUES', [])]")
    return "\n".join(lines)


def test_the_tests_of_the_manual_pass(tmp_path: Path) -> None:
    """In the site of the quickstart; each block is a module of its own, as it stands."""
    site = Site(tmp_path)
    site.follow_files(ROOT / "docs" / "quickstart.md")
    site.write("mysite/settings.py", 'DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}\n')
    for number, block in enumerate(TESTS):
        site.write(f"test_{number}.py", _for_this_django(block.text))
    said = site.run("python -m pytest -p no:cacheprovider -q --ds mysite.settings")
    assert f"{len(TESTS)} passed" in said


def _for_this_django(text: str) -> str:
    return text if django.VERSION >= (6, 0) else text.replace("from django.tasks import", "from django_tasks import")


def _with_database(path: Path) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "REINHARDT_TEST_DATABASES": json.dumps({"default": sqlite(path)}),
    }


def _run(arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
    done: Any = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SOON,
    )
    assert done.returncode == 0, done.stdout
