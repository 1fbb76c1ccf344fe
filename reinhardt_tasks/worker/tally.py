"""What a worker has done so far, in numbers that only grow: for metrics, whoever shows them.

Numbers of several processes are added up, so they are kept as one flat table that a line of JSON can carry.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

from ..execution import Execution
from ..jobs import Cancelled, Failed, Outcome, Released, Retrying, Succeeded
from ..registry import registry

#: Upper limits of the histograms' buckets, in seconds; what is longer lies in one more.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
#: Different tasks and queues that are told apart; what comes later is counted together.
LIMIT = 1000
OTHERS = "(others)"
#: The name of tasks that are not registered here.
UNKNOWN = "(unknown)"
SUM = "sum"

_OUTCOMES: dict[type, str] = {
    Succeeded: "succeeded",
    Failed: "failed",
    Retrying: "retried",
    Cancelled: "cancelled",
    Released: "released",
}

#: (what, task, queue, and what else there is: an outcome, a bucket's number or SUM, a backend) → number.
Key = tuple[str, str, str, str]


class Tally:
    """The counts of one process, or of several together. Safe with threads."""

    def __init__(self) -> None:
        self._numbers: dict[Key, float] = {}
        self._pairs: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def watch(self, execution: Execution) -> None:
        """Count the start of a task that was claimed just now, whenever that comes."""
        claimed_at, then = time.monotonic(), execution.on_begin

        def began(execution: Execution) -> None:
            self._started(execution, time.monotonic() - claimed_at)
            if then is not None:
                then(execution)

        execution.on_begin = began

    def _started(self, execution: Execution, held: float) -> None:
        job = execution.claim.job
        self._count("started", job.name, job.queue)
        if job.due_at is not None and job.started_at is not None:
            # Both are the store's clock; what came after the claim is ours.
            waited = (job.started_at - job.due_at).total_seconds() + held
            self._observe("wait", job.name, job.queue, max(0.0, waited))

    def ran(self, execution: Execution, seconds: float) -> None:
        """Count how long a task ran, however it ended. One that never began did not run."""
        if execution.began_at is not None:
            self._observe("run", execution.claim.job.name, execution.claim.job.queue, seconds)

    def settled(self, outcome: Outcome) -> None:
        """Count an outcome that the store has taken."""
        job = outcome.claim.job
        self._count("finished", job.name, job.queue, _OUTCOMES[type(outcome)])

    def rescued(self, outcome: Outcome) -> None:
        """Count what became of a claim whose worker was lost."""
        job = outcome.claim.job
        self._count("finished", job.name, job.queue, "released" if isinstance(outcome, Released) else "lost")

    def lost_lease(self) -> None:
        """Count a claim that was taken from its living worker before that could settle it."""
        self._count("lease_lost", "", "")

    def enqueued(self, task_result: Any, **facts: Any) -> None:
        """Count a task that was enqueued; a receiver of `task_enqueued`."""
        task = task_result.task
        self._count("enqueued", task.module_path, task.queue_name, task_result.backend)

    def take(self) -> list[list[Any]]:
        """Return what was counted since the last time, for `add`."""
        with self._lock:
            taken, self._numbers = self._numbers, {}
        return [[*key, number] for key, number in taken.items()]

    def add(self, taken: Iterable[list[Any]]) -> None:
        """Count what another process has counted."""
        with self._lock:
            for what, task, queue, more, number in taken:
                self._add((what, *self._pair(task, queue), more), number)

    def numbers(self) -> dict[Key, float]:
        """Return all counts."""
        with self._lock:
            return dict(self._numbers)

    def _count(self, what: str, task: str, queue: str, more: str = "") -> None:
        with self._lock:
            self._add((what, *self._pair(_known(task), queue), more), 1)

    def _observe(self, what: str, task: str, queue: str, seconds: float) -> None:
        with self._lock:
            pair = self._pair(_known(task), queue)
            self._add((what, *pair, str(bisect_left(BUCKETS, seconds))), 1)
            self._add((what, *pair, SUM), seconds)

    def _add(self, key: Key, number: float) -> None:
        self._numbers[key] = self._numbers.get(key, 0) + number

    def _pair(self, task: str, queue: str) -> tuple[str, str]:
        pair = (task, queue)
        if pair not in self._pairs:
            if len(self._pairs) >= LIMIT:
                return (OTHERS, OTHERS)
            self._pairs.add(pair)
        return pair


def _known(task: str) -> str:
    # Names come from the store, where anybody may have written any number of them.
    return task if not task or registry.has(task) else UNKNOWN


#: Counted so far, and the present load: slots and what is held. What a page of metrics is made of.
Snapshot = tuple[dict[Key, float], dict[str, float]]
Source = Callable[[], Snapshot]
