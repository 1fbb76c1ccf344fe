"""A sample project in a folder of its own, moved stage by stage; its commands, and its processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parent / "samples"
ROOT = SAMPLES.parent.parent.parent

#: Seconds for whatever is waited for.
DEADLINE = 120


class Site:
    """A project that is on its way."""

    def __init__(self, sample: str, folder: Path, **environment: str) -> None:
        self._sample = SAMPLES / sample
        self._folder = folder / "site"
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DJANGO_", "REINHARDT_"))},
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(self._folder)]),
            "PYTHONIOENCODING": "utf-8",
            **environment,
        }

    def move_on(self, stage: str) -> None:
        """Copy the files of a stage over what is there, as a deploy does, and migrate."""
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(self._sample / stage, self._folder, dirs_exist_ok=True, ignore=ignored)
        self.manage("migrate", "--verbosity", "0")

    def manage(self, *arguments: str, code: int = 0) -> str:
        return self._ran([sys.executable, "manage.py", *arguments], code)

    def python(self, words: str) -> Any:
        """Run Python in the project, and return what it leaves in `value`."""
        script = f"import json, django; django.setup()\n{words}\nprint('value:' + json.dumps(value))"
        return json.loads(self._ran([sys.executable, "-c", script], 0).rsplit("value:", 1)[1])

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Look into the project's database: at once, where a process of its own would take seconds."""
        connection = sqlite3.connect(self._folder / "db.sqlite3")
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]
        finally:
            connection.close()

    @contextmanager
    def running(self, *command: str) -> Iterator[None]:
        """Let a process run meanwhile: `manage.py …`, or `-m …`."""
        with (self._folder / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=self._folder, env=self._settled(), stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield
            assert process.poll() is None, self.log
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(DEADLINE)

    def wait_for(self, look: Callable[[], bool]) -> None:
        until = time.monotonic() + DEADLINE
        while not look():
            assert time.monotonic() < until, self.log
            time.sleep(0.2)

    @property
    def log(self) -> str:
        """What the processes have said."""
        file = self._folder / "log"
        return file.read_text() if file.exists() else ""

    def _ran(self, command: list[str], code: int) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=self._settled(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}\n{self.log}"
        return done.stdout

    def _settled(self) -> dict[str, str]:
        return {**self._environment, "DJANGO_SETTINGS_MODULE": "shopsite.settings"}
