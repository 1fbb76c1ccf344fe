"""What the manual's pages have to run: their blocks of code, and a site that is built as a page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

RUN = "<!-- run -->"

#: What the site of the quickstart is asked before its worker is started, and after it has ended.
UPLOAD = (
    "from django.test import RequestFactory; from uploads.views import upload; "
    "response = upload(RequestFactory().post('/', {'text': 'a,b'})); "
    "assert 'PENDING' in response.content.decode(), response.content"
)
LOOK = "from uploads.models import Upload; assert Upload.objects.get().rows == 1"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    is_run: bool

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    for begin, end in zip(fences[::2], fences[1::2], strict=True):
        text = "\n".join(lines[begin + 1 : end]) + "\n"
        is_run = begin > 0 and lines[begin - 1].strip() == RUN
        yield Block(page, begin + 1, lines[begin].removeprefix("```"), text, is_run)


class Site:
    """A Django project in a folder of its own.

    It is run by any interpreter, and finds there what is installed for that, and what is on `path`.
    """

    def __init__(self, folder: Path, *, python: str = sys.executable, path: Sequence[Path] = ()) -> None:
        self.folder = folder
        self._python = python
        self._has_worked = False
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DJANGO_", "REINHARDT_"))},
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONIOENCODING": "utf-8",
        }

    def build(self, page: Path) -> None:
        """Write a page's files, run its commands, and see that the task has run."""
        self.run("-m", "django", "startproject", "mysite", ".")
        self.run("manage.py", "startapp", "uploads")
        for block in blocks(page):
            if block.language == "python" and (path := re.match(r"# ([\w/]+\.py)\n", block.text)):
                self.write(path[1], block.text)
            for command in re.findall(r"^\$ python manage\.py (.+)$", block.text, flags=re.MULTILINE):
                self._obey(command.split())
        self.run("manage.py", "shell", "-c", LOOK)
        assert self._has_worked

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        # What a page says about settings comes after what `startproject` has written.
        before = file.read_text() if file.name == "settings.py" else ""
        file.write_text(f"{before}\n{text}")

    def _obey(self, command: list[str]) -> None:
        if command == ["startapp", "uploads"]:
            return
        if command == ["runworker"]:
            self.run("manage.py", "check", "--fail-level", "WARNING", "--database", "default")
            self.run("manage.py", "shell", "-c", UPLOAD)
            self._has_worked = "1 succeeded, 0 failed" in self.run("manage.py", "runworker", "--burst")
            return
        self.run("manage.py", *command)

    def run(self, *arguments: str) -> str:
        """Run Python in the project's folder; return what it prints."""
        done = subprocess.run(
            [self._python, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout
