"""A driver in its own process, as an object here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from .environments import HERE, python_of
from .systems import System

#: Not for the system's own Python; the last has ours compiled at each start, where peers are installed and compiled.
_LEFT_OUT = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")


class DriverFailed(Exception):
    """A driver could not do what it was asked; the message is its own."""


class Remote:
    """One system on one place of a store. What is called here is called there: `remote.enqueue(count=10)`."""

    def __init__(self, system: System, environment: dict[str, str], folder: Path) -> None:
        self.system = system
        self.folder = folder
        self._errors = folder / "driver.log"
        package = f"benchmarks.peers.{system.folder}"
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [str(python_of(system)), "-m", f"{package}.driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=HERE.parent,
                env={
                    **{name: value for name, value in os.environ.items() if name not in _LEFT_OUT},
                    "PYTHONPATH": str(HERE.parent),
                    "DJANGO_SETTINGS_MODULE": f"{package}.settings",
                    **environment,
                },
            )

    def __getattr__(self, name: str) -> Any:
        def ask(**arguments: Any) -> Any:
            return self._ask({"do": name, **arguments})

        return ask

    def start_worker(self, *, trace: str = "", arguments: Sequence[str] = ()) -> int:
        log = str(self.folder / "worker.log")
        return int(self._ask({"do": "start", "log": log, "trace": trace, "arguments": list(arguments)}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        # The driver stops its worker when nobody asks any more.
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise DriverFailed(self._last_words("ended")) from None
        line = self._process.stdout.readline()
        if not line:
            raise DriverFailed(self._last_words("ended"))
        answer = json.loads(line)
        if "error" in answer:
            raise DriverFailed(self._last_words(answer["error"]))
        return answer["answer"]

    def _last_words(self, what: str) -> str:
        logs = [self._errors, self.folder / "worker.log"]
        tails = ["\n".join(log.read_text(errors="replace").splitlines()[-15:]) for log in logs if log.exists()]
        return "\n".join([f"{self.system.name}: {what}", *tails])
