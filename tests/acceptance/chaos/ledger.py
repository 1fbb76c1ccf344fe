"""What the runs wrote, read from the file to which each of them adds its lines; it is independent of the queue."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """The begin of one run of a task: the process, and the worker under whose claim it ran."""

    pid: int
    worker: str


class Ledger:
    """Reads on from where it read last. `began` and `ended` hold the runs of each task's number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self.began: dict[int, list[Run]] = defaultdict(list)
        self.ended: dict[int, list[Run]] = defaultdict(list)
        self._offset = 0
        self._rest = b""

    def read(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, number, pid, worker = line.decode().split()
            runs = self.began if word == "began" else self.ended
            runs[int(number)].append(Run(int(pid), worker))

    @property
    def pid_of(self) -> dict[str, int]:
        """Return the process of each worker that has begun anything."""
        return {run.worker: run.pid for runs in self.began.values() for run in runs}
