"""`runworker` in processes of their own, as a person or a service manager starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.databases import environment_for_processes
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]
BACKEND = "reinhardt_tasks.backends.DatabaseBackend"
#: Seconds for what takes a moment, on a machine that has much else to do.
SOON = 60.0


def tasks_on(database: str, *, queues: Any = (), **options: Any) -> dict[str, Any]:
    """Return a TASKS setting with one backend on a database, for this process and others alike."""
    return {"default": {"BACKEND": BACKEND, "QUEUES": list(queues), "OPTIONS": {"DATABASE": database, **options}}}


class WorkerProcess:
    """One `runworker`. What it prints goes to files; `close` kills what still runs."""

    command = "runworker"

    def __init__(
        self,
        *flags: str,
        tasks: dict[str, Any] | None = None,
        settings: str = "tests.worker.process_settings",
        **environment: str,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="reinhardt-test-worker-")
        self._files = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        chosen = {"REINHARDT_TEST_TASKS": json.dumps(tasks)} if tasks is not None else {}
        with self._files[0].open("wb") as stdout, self._files[1].open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "django", self.command, *flags],
                cwd=ROOT,
                env={
                    **environment_for_processes(),
                    "DJANGO_SETTINGS_MODULE": settings,
                    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
                    **chosen,
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    @property
    def stdout(self) -> str:
        return self._files[0].read_text()

    @property
    def stderr(self) -> str:
        return self._files[1].read_text()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def ready(self) -> Self:
        """Return when the worker says that it is."""

        def says_so() -> bool:
            assert self.is_running, f"It ended with {self.process.returncode}:\n{self.stdout}\n{self.stderr}"
            return "Ready." in self.stdout

        wait_until(says_so, "the worker is ready", timeout=SOON)
        return self

    def says(self, words: str, *, times: int = 1) -> None:
        """Return when the worker has logged something so many times."""
        wait_until(lambda: self.stderr.count(words) >= times, f"the worker logs {words!r}", timeout=SOON)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel does it that is short of memory."""
        self.process.kill()
        self.process.wait()

    def ended(self, timeout: float = SOON) -> int:
        """Return its exit code once it has ended."""
        return self.process.wait(timeout)

    def close(self) -> None:
        if self.is_running:
            self.kill()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class SchedulerProcess(WorkerProcess):
    """One `runscheduler`."""

    command = "runscheduler"


@contextmanager
def workers(number: int, *flags: str, **kwargs: Any) -> Iterator[list[WorkerProcess]]:
    """Start some workers, and wait until all of them are ready."""
    started = []
    try:
        for _ in range(number):
            started.append(WorkerProcess(*flags, **kwargs))
        yield [each.ready() for each in started]
    finally:
        for each in started:
            each.close()
