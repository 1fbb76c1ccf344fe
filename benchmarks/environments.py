"""A virtual environment for each system, made when it is first asked for, all from one Python: what most peers need."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .systems import System

HERE = Path(__file__).resolve().parent
#: The first of these that the machine has runs every system.
VERSIONS = ("3.12", "3.13")


def python_of(system: System) -> Path:
    """Return the Python of the system's own environment, which has exactly what its requirements say."""
    folder = HERE / ".venvs" / system.folder
    python, note = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = _digest(system)
    if not note.exists() or note.read_text() != wanted:
        print(f"Making the environment of {system.name}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        _run([str(find_python()), "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(_requirements(system))])
        note.write_text(wanted)
    return python


def versions_of(system: System) -> str:
    """Return the version of each package in the system's environment, `pip freeze` in one line."""
    frozen = subprocess.run(
        [str(python_of(system)), "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    ).stdout
    return ", ".join(line for line in frozen.split() if "==" in line)


@cache
def find_python() -> Path:
    """Return a Python that all systems run on, from PATH or from pyenv."""
    for candidate in _candidates():
        ended = subprocess.run(
            [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        # The programs that pyenv puts on PATH are there for versions too that are switched off.
        if ended.returncode == 0 and ended.stdout.strip() in VERSIONS:
            return candidate
    raise SystemExit(f"The peers need Python {' or '.join(VERSIONS)}: put one on PATH, or into pyenv.")


def _candidates() -> Iterator[Path]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in VERSIONS:
        if program := shutil.which(f"python{version}"):
            yield Path(program)
        yield from sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    yield Path(sys.executable)


def _requirements(system: System) -> Path:
    return HERE / "peers" / system.folder / "requirements.txt"


def _digest(system: System) -> str:
    texts = [_requirements(system), HERE / "peers" / "common.txt"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in texts) + str(find_python()).encode()).hexdigest()


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
