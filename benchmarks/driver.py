"""One system under measurement, run by its own Python: JSON lines in on stdin, answers out on stdout.

    {"do": "enqueue", "count": 1000}  ->  {"answer": 1.25}

A driver tells how its system enqueues, counts and starts a worker; everything measured is measured here or in `measures`,
in the same way for all.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

#: Seconds within which a task must have begun, and a worker must have ended.
PATIENCE = 60


class Driver:
    """What a system must tell of itself. The public methods, without `serve`, are what can be asked for."""

    #: The arguments of `python -m …` that start one worker process.
    worker: ClassVar[tuple[str, ...]]
    has_bulk: ClassVar[bool] = False

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Make the store ready, and load all that the first enqueue would load."""
        raise NotImplementedError

    def enqueue_nothing(self) -> None:
        raise NotImplementedError

    def enqueue_stamp(self, path: str, called_at: float) -> None:
        raise NotImplementedError

    def enqueue_bulk(self, count: int) -> None:
        raise NotImplementedError

    def left(self) -> int:
        """Return how many tasks have not ended, the running ones included."""
        raise NotImplementedError

    def fill(self, count: int) -> None:
        """Enqueue `count` no-op tasks by the shortest way; this is not measured."""
        if self.has_bulk:
            self.enqueue_bulk(count)
        else:
            for _ in range(count):
                self.enqueue_nothing()

    def setup(self) -> dict[str, Any]:
        self.prepare()
        return {"has_bulk": self.has_bulk}

    def enqueue(self, count: int) -> float:
        """Enqueue `count` tasks one by one; return the seconds."""
        return _timed(lambda: [self.enqueue_nothing() for _ in range(count)])

    def bulk(self, count: int) -> float:
        """Enqueue `count` tasks in one call; return the seconds."""
        return _timed(lambda: self.enqueue_bulk(count))

    def start(self, log: str, trace: str = "", arguments: Sequence[str] = ()) -> int:
        """Start one worker as it is run in production, with further arguments; return its process id."""
        environment = {**os.environ, **({"BENCHMARK_TRACE": trace} if trace else {})}
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.worker, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        self._processes.append(process)
        return process.pid

    def is_alive(self) -> bool:
        """Return whether all workers run."""
        return bool(self._processes) and all(each.poll() is None for each in self._processes)

    def delays(self, path: str, count: int, longest_pause: float) -> list[float]:
        """Enqueue one task at a time to the idle worker, after pauses of chance; return the seconds until each began."""
        begun = Path(path)
        for number in range(1, count + 1):
            time.sleep(random.uniform(0.05, longest_pause))
            self.enqueue_stamp(path, time.time())
            deadline = time.monotonic() + PATIENCE
            while not begun.exists() or begun.read_bytes().count(b"\n") < number:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Task {number} had not begun after {PATIENCE} s.")
                time.sleep(0.002)
        return [float(line) for line in begun.read_text().split()]

    def stop(self) -> None:
        """End the workers, by force if they do not go when asked."""
        processes, self._processes = self._processes, []
        for process in processes:
            process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @classmethod
    def serve(cls) -> None:
        """Answer requests until stdin ends; then stop what runs."""
        # The answers go where stdout went, and whatever the system prints to stderr.
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        driver = cls()
        try:
            for line in sys.stdin:
                answers.write(json.dumps(driver._answer(json.loads(line))) + "\n")
                answers.flush()
        finally:
            driver.stop()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"answer": getattr(self, request.pop("do"))(**request)}
        except Exception:
            return {"error": traceback.format_exc()}


class DjangoDriver(Driver):
    """A system behind Django's own task API. `worker` is a management command here."""

    def prepare(self) -> None:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0, interactive=False)
        from . import tasks

        self._nothing: Any = tasks.nothing
        self._stamp: Any = tasks.stamp

    def enqueue_nothing(self) -> None:
        self._nothing.enqueue()

    def enqueue_stamp(self, path: str, called_at: float) -> None:
        self._stamp.enqueue(path, called_at)

    def fill(self, count: int) -> None:
        from django.db import transaction

        for start in range(0, count, 1000):
            with transaction.atomic():
                for _ in range(min(1000, count - start)):
                    self.enqueue_nothing()


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
