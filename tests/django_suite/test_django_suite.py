"""Every one of Django's own tests passes on our backends, but for those whose difference is told in `differences`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import django
import pytest

from .differences import DIFFERENCES
from .sources import SourcesMissing, tasks_tests

DJANGOS_PLACE = re.compile(r"django\.tasks\.backends\.(dummy|immediate)\b")


@pytest.fixture(scope="module")
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Django's package of tests, in which our backends stand where Django's stood."""
    if django.VERSION < (6, 0):
        pytest.skip("NOT RUN: Django 5.2 has no tasks, and its backport's source distribution has no tests.")
    cache = getattr(request.config, "cache", None)
    try:
        found = tasks_tests(cache.mkdir("django_suite") if cache else tmp_path_factory.mktemp("sources"))
    except SourcesMissing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(f"NOT RUN: {missing}")
    folder = tmp_path_factory.mktemp("django_suite")
    shutil.copytree(found, folder / "tasks")
    replaced = 0
    for path in (folder / "tasks").glob("*.py"):
        text, number = DJANGOS_PLACE.subn(r"reinhardt_tasks.backends.\1", path.read_text())
        path.write_text(text)
        replaced += number
    assert replaced >= 10
    return folder


@pytest.mark.parametrize(
    "default",
    ["django.tasks.backends.immediate.ImmediateBackend", "reinhardt_tasks.backends.DatabaseBackend"],
    ids=["tasks of Django's class", "tasks of our class"],
)
def test_djangos_own_tests_pass_on_our_backends(suite: Path, default: str) -> None:
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-m", "tests.django_suite.runner"],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": str(root), "DEFAULT_BACKEND": default},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    ends: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    assert len(ends) >= 70
    failed = {test: end for test, end in ends.items() if end}

    unexpected = {test: end for test, end in failed.items() if test not in DIFFERENCES}
    assert not unexpected, "\n\n".join(f"{test}\n{end}" for test, end in unexpected.items())
    assert sorted(failed) == sorted(DIFFERENCES), "A difference that is told is none any more."
