"""Django's tests of the installed version: they are part of its source distribution, which the package index has."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django


class SourcesMissing(Exception):
    """The source distribution could not be had. The message says why."""


def tasks_tests(cache: Path) -> Path:
    """Return the folder `tests/tasks` of the installed Django, fetched once into `cache`. Raise SourcesMissing."""
    version = django.get_version()
    kept = cache / version / "tasks"
    if kept.is_dir():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        unpacked = _unpacked(_downloaded(version, Path(folder)))
        kept.parent.mkdir(exist_ok=True)
        try:
            # In one step: another process may fetch the same at this moment.
            unpacked.rename(kept)
        except OSError:
            if not kept.is_dir():
                raise
    return kept


def _downloaded(version: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--only-binary", "setuptools", "--dest", str(folder), f"Django=={version}"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired as exc:
        raise SourcesMissing(f"The source of Django {version} was not there after {exc.timeout:g} s.") from exc
    found = [*folder.glob("*.tar.gz")]
    if run.returncode != 0 or not found:
        last = (run.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise SourcesMissing(f"The source of Django {version} could not be downloaded: {last}")
    return found[0]


def _unpacked(archive: Path) -> Path:
    """Unpack the tests of tasks alone, beside their archive."""
    with tarfile.open(archive) as tar:
        wanted = [member for member in tar.getmembers() if member.name.split("/")[1:3] == ["tests", "tasks"]]
        if not wanted:
            raise SourcesMissing(f"{archive.name} has no tests of tasks.")
        tar.extractall(archive.parent, members=wanted, filter="data")
    return archive.parent / wanted[0].name.split("/")[0] / "tests" / "tasks"
