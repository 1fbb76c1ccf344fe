"""A type checker sees a task's parameters and its result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Pyright, packed with all that it needs; what PyPI has as `pyright` downloads it when it is first called.
PYRIGHT = [sys.executable, "-m", "basedpyright"]
SAMPLE = Path(__file__).with_name("sample.py")
ROOT = SAMPLE.parents[2]


def test_mypy_sees_parameters_and_results(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), str(SAMPLE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_sees_parameters_and_results(tmp_path: Path) -> None:
    pytest.importorskip("basedpyright", reason="basedpyright is not installed: pip install 'reinhardt-tasks[types]'")
    config = tmp_path / "pyrightconfig.json"
    settings = {
        "include": [str(SAMPLE)],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "standard",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    config.write_text(json.dumps(settings))
    command = [*PYRIGHT, "--project", str(config), "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
