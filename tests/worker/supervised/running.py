"""One `runworker --processes`, and the processes under it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.servers import wait_until
from tests.worker.processes import SOON, WorkerProcess

#: Seconds that a supervisor of the tests gives a task to stop.
GRACE = "0.5"


class SupervisedProcess(WorkerProcess):
    """A supervisor with worker processes, 2 by default. `close` kills what is left of them, too."""

    def __init__(self, *flags: str, processes: int = 2, grace: str = GRACE, **kwargs: Any) -> None:
        self._seen: set[int] = set()
        super().__init__(
            "--processes",
            str(processes),
            *flags,
            settings="tests.worker.supervised.settings",
            REINHARDT_TEST_GRACE=grace,
            **kwargs,
        )

    @property
    def children(self) -> set[int]:
        """The worker processes of now."""
        pid = self.process.pid
        text = ""
        with suppress(OSError):
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        found = {int(word) for word in text.split() if is_alive(int(word))}
        self._seen |= found
        return found

    def complete(self, processes: int = 2, without: Any = ()) -> set[int]:
        """Return the worker processes once there are so many, none of them of `without`."""
        wait_until(lambda: len(self.children - set(without)) >= processes, f"{processes} processes", timeout=SOON)
        return self.children - set(without)

    def to_all(self, number: int) -> None:
        """Send a signal to supervisor and worker processes, as a terminal or a service manager does."""
        for pid in (*self.children, self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stopped(self) -> None:
        """Let it end cleanly."""
        self.terminate()
        assert self.ended() == 0, self.stderr

    def close(self) -> None:
        left = set(self.children)
        if self.is_running:
            self.process.send_signal(signal.SIGCONT)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().close()


def is_alive(pid: int) -> bool:
    """Return whether there is a process of this number that is more than a line in the table of processes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def all_gone(pids: set[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), "the processes are gone", timeout=SOON)


def read(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def lines_of(path: Path, word: str) -> list[list[str]]:
    """Return the words of those lines that begin with one."""
    return [words for line in read(path) if (words := line.split())[0] == word]


def until(condition: Callable[[], Any], what: str) -> Any:
    return wait_until(condition, what, timeout=SOON)
