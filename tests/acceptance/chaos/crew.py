"""The workers under chaos, alone and under supervisors, and what a service manager does: who is gone is started again."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.servers import wait_until
from tests.servers.descendants import descendants
from tests.worker.processes import SOON, WorkerProcess

SETTINGS = "tests.acceptance.chaos.settings"
#: Seconds before somebody who is gone is started again.
PAUSE = 0.3

ALONE = ("--concurrency", "4")
SUPERVISED = ("--processes", "2", "--concurrency", "3", "--max-memory", "220", "--max-tasks", "400")


class Member:
    """One place in the crew: a `runworker`, and those who came before it."""

    def __init__(self, flags: tuple[str, ...], arguments: dict[str, Any]) -> None:
        self.is_supervisor = "--processes" in flags
        self.is_frozen = False
        self._flags = flags
        self._arguments = arguments
        self._gone_at: float | None = None
        self.process = self._start()

    @property
    def pid(self) -> int:
        return self.process.process.pid

    @property
    def children(self) -> list[int]:
        return descendants(self.pid) if self.process.is_running else []

    def send(self, number: int) -> None:
        """Send a signal to all its processes, the first one first."""
        for pid in (self.pid, *self.children):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def replace(self) -> str | None:
        """Start another where this one is gone, after a pause; return what the former one has logged."""
        if self.process.is_running:
            return None
        now = time.monotonic()
        self._gone_at = self._gone_at or now
        if now - self._gone_at < PAUSE:
            return None
        self._gone_at = None
        self.is_frozen = False
        log = f"{self.process.stdout}\n{self.process.stderr}"
        self.process.close()
        self.process = self._start()
        return log

    def _start(self) -> WorkerProcess:
        return WorkerProcess(*self._flags, "--shutdown-timeout", "10", settings=SETTINGS, **self._arguments)


class Crew:
    """Some workers. `hurt` is what was done to whom, by process id; it stands in for nothing that a task did."""

    def __init__(self, alone: int, supervised: int, **arguments: Any) -> None:
        self.hurt: dict[int, str] = {}
        self._logs: list[str] = []
        self._seen: set[int] = set()
        self.members: list[Member] = []
        try:
            for flags in (ALONE,) * alone + (SUPERVISED,) * supervised:
                self.members.append(Member(flags, arguments))
        except BaseException:
            self.close()
            raise

    def look(self) -> None:
        """Start those again who are gone."""
        for member in self.members:
            self._seen.update(member.children)
            if (log := member.replace()) is not None:
                self._logs.append(log)

    def alone(self) -> list[Member]:
        return [each for each in self.members if not each.is_supervisor and self._can_be_hurt(each)]

    def supervisors(self) -> list[Member]:
        return [each for each in self.members if each.is_supervisor and self._can_be_hurt(each)]

    @property
    def log(self) -> str:
        """What all have logged, those included who are gone."""
        return "\n".join([*self._logs, *(f"{each.process.stdout}\n{each.process.stderr}" for each in self.members)])

    def stopped(self) -> list[int]:
        """Let all end cleanly; return their exit codes."""
        for member in self.members:
            if not member.process.is_running:
                self._logs.append(f"{member.process.stdout}\n{member.process.stderr}")
                member.process.close()
                member.process = member._start()
        for member in self.members:
            member.process.ready()
            self._seen.update(member.children)
            member.process.terminate()
        codes = [member.process.ended() for member in self.members]
        wait_until(lambda: not list(self._left()), "no worker process is left", timeout=SOON)
        return codes

    def close(self) -> None:
        for member in self.members:
            self._seen.update(member.children)
            member.send(signal.SIGCONT)
            member.process.close()
        for pid in list(self._left()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _can_be_hurt(self, member: Member) -> bool:
        return member.process.is_running and not member.is_frozen and "Ready." in member.process.stdout

    def _left(self) -> Iterator[int]:
        """Yield the processes below supervisors that still live, orphans included. A number may have come to mean another."""
        for pid in self._seen:
            with suppress(OSError):
                if re.search(r"\) [ZX] ", Path(f"/proc/{pid}/stat").read_text()):
                    continue
                if b"runworker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid
