"""A site that is built by doing what a page says: its files are written, its commands are run in a shell."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.documents.pages import ROOT, blocks
from tests.servers import wait_until
from tests.servers.ports import HOST, ReservedPort

#: Commands that go on until they are told to stop → what they print when they are there.
STAYING = {"runworker": "registered", "runserver": "Quit the server"}
#: Commands that only look, perhaps before what they look for is there.
LOOKING = re.compile(r"manage\.py (tasks (list|status)|taskschedules|shell -c .*\.objects\.)")
#: Done by whoever makes the environment of a site; or in a checkout, not in a site.
ELSEWHERE = ("python -m venv", ". .venv", "pip install", "make ")
#: Seconds for what takes a moment, on a machine that has much else to do.
SOON = 240


class Site:
    """A folder with a Django project. `programs` is where its `python` lies."""

    def __init__(
        self, folder: Path, programs: Path = Path(sys.executable).parent, *, has_package: bool = False
    ) -> None:
        self.folder = folder
        self.address = ""
        self._written: set[str] = set()
        self._staying: dict[str, subprocess.Popen[bytes]] = {}
        paths = [] if has_package else [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DJANGO_", "REINHARDT_"))},
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
        }

    def follow(self, page: Path) -> None:
        """Do what the page says, from its beginning to its end."""
        for block in blocks(page):
            if block.file:
                self.write(block.file, block.text)
            if block.language == "console":
                for command, output in commands(block.text):
                    self.obey(command, output)

    def follow_files(self, page: Path) -> None:
        """Make the page's project and app, and write its files; run nothing else of it."""
        for block in blocks(page):
            if block.file:
                self.write(block.file, block.text)
            for command, _ in commands(block.text if block.language == "console" else ""):
                if "startproject" in command or "startapp" in command or "makemigrations" in command:
                    self.run(command)

    def write(self, path: str, text: str) -> None:
        # Settings come after what `startproject` has written; a file's later parts after its first one.
        file = self.folder / path
        is_continued = path in self._written or file.name == "settings.py"
        self._written.add(path)
        file.write_text(f"{file.read_text()}\n{text}" if is_continued else text)

    def obey(self, command: str, output: str = "") -> None:
        """Run a command as it is written; compare what it prints with what the page shows, where it shows anything."""
        if command.startswith(ELSEWHERE):
            return
        words = shlex.split(command)
        name = words[words.index("manage.py") + 1] if "manage.py" in words else ""
        if name in STAYING:
            self._start(name, words)
        elif LOOKING.search(command):
            self._look(command, output)
        else:
            said = self.run(command)
            assert fits(said, output), f"{command}\n{said}"

    def run(self, command: str) -> str:
        command = command.replace(f"{HOST}:8000", self.address)
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=SOON,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def _look(self, command: str, output: str) -> None:
        said = ""

        def is_shown() -> bool:
            nonlocal said
            said = self.run(command)
            return fits(said, output)

        with suppress(TimeoutError):
            wait_until(is_shown, "the page's output", timeout=SOON, interval=0.2)
        assert fits(said, output), f"{command}\n{said}"

    def python(self, text: str) -> str:
        return self.run(f"python manage.py shell -v 0 -c {shlex.quote(text)}").strip()

    def _start(self, name: str, words: list[str]) -> None:
        # Who starts it again has ended the first one with Ctrl-C.
        self._stop(name)
        if name == "runserver":
            port = ReservedPort()
            port.release()
            self.address = f"{HOST}:{port.number}"
            words = [*words, "--noreload", self.address]
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            self._staying[name] = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                # What a shell runs in the background ignores Ctrl-C, and so does all that is started there.
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            )
        wait_until(lambda: STAYING[name] in log.read_text(), f"{name} is there", timeout=SOON)

    def _stop(self, name: str) -> None:
        process = self._staying.pop(name, None)
        if process is not None:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=SOON) == 0, name

    def close(self) -> None:
        try:
            for name in list(self._staying):
                self._stop(name)
        finally:
            for process in self._staying.values():
                process.kill()


def commands(text: str) -> list[tuple[str, str]]:
    """Return what stands after each `$ ` of a console, and what is shown beneath it."""
    found = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE)
    return [(re.sub(r"\s+#.*", "", command), output.strip()) for command, output in found]


def fits(said: str, shown: str) -> bool:
    """Return whether a page's output is what was printed: `…` stands for anything, and spaces do not count."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in shown.split("…")]
    return re.search(r"[\s\S]*?".join(parts), said) is not None
