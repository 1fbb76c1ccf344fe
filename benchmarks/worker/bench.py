"""One `runworker` or several on one place of a store, and what is enqueued for them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.remote import Remote
from benchmarks.stores import Place
from benchmarks.systems import OURS


class Bench:
    """Enqueues by name, and remembers when each number's `enqueue()` had returned."""

    def __init__(self, remote: Remote, folder: Path) -> None:
        self.remote = remote
        self.folder = folder
        self.enqueued: dict[int, float] = {}
        #: The first processes of the workers that run now.
        self.pids: list[int] = []
        self._files = 0

    def new_file(self) -> Path:
        """Return the file of the next tasks, and forget the last ones."""
        self._files += 1
        self.enqueued = {}
        return self.folder / f"events-{self._files}"

    def enqueue(self, name: str, path: Path, *calls: tuple[Any, ...]) -> None:
        """Enqueue calls, whose first argument after the file is a number, in one go."""
        done = self.remote.enqueue_calls(name=name, calls=[[str(path), *call] for call in calls])
        self.enqueued.update({call[0]: done for call in calls})

    @contextmanager
    def workers(self, *commands: tuple[str, ...]) -> Iterator[None]:
        """Run a worker for each of these lists of flags; return when all have worked."""
        self.pids = [self.remote.start_worker(arguments=list(flags)) for flags in commands]
        ready = self.new_file()
        number = 0
        # All have begun when as many processes have been seen as there are, or nobody new comes for a while.
        deadline = time.monotonic() + 60
        seen: set[str] = set()
        wanted = sum(_processes(flags) for flags in commands)
        while len(seen) < wanted and time.monotonic() < deadline:
            self.enqueue("rest", ready, *((number + step, 0.05) for step in range(4 * wanted)))
            number += 4 * wanted
            time.sleep(0.3)
            if ready.exists():
                seen = {line.split()[3] for line in ready.read_text().splitlines()}
        while ready.read_bytes().count(b"ended") < number:
            time.sleep(0.05)
        try:
            yield
        finally:
            self.remote.stop()


def _processes(flags: tuple[str, ...]) -> int:
    return int(flags[flags.index("--processes") + 1]) if "--processes" in flags else 1


@contextmanager
def bench_on(place: Place) -> Iterator[Bench]:
    with Remote(OURS, place.environment, place.folder) as remote:
        remote.setup()
        yield Bench(remote, place.folder)


def pauses(mean: float) -> Iterator[float]:
    """Yield pauses between independent events."""
    while True:
        yield random.expovariate(1 / mean)
