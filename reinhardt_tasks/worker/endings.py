"""What has ended since the loop last turned: logged and counted by the loop.

Not in the tasks' threads, which would wait for one another at the log's lock.
"""

from __future__ import annotations

import logging
import threading
import time

from ..execution import Execution
from ..jobs import Failed, Outcome, Retrying, Succeeded
from .tally import Tally

logger = logging.getLogger("reinhardt_tasks")


class Endings:
    """Safe with threads. An outcome of None is a success that is settled already."""

    def __init__(self, tally: Tally | None) -> None:
        self._tally = tally
        self._lock = threading.Lock()
        self._untold: list[tuple[Execution, Outcome | None, float]] = []
        self._first_at = 0.0

    def note(self, execution: Execution, outcome: Outcome | None, seconds: float) -> None:
        with self._lock:
            if not self._untold:
                self._first_at = time.monotonic()
            self._untold.append((execution, outcome, seconds))

    def untold_since(self) -> float | None:
        """Return when the first of those ended that nothing was told of, by the monotonic clock; None where there is none."""
        return self._first_at if self._untold else None

    def tell(self) -> None:
        with self._lock:
            untold, self._untold = self._untold, []
        for execution, outcome, seconds in untold:
            if self._tally is not None:
                self._tally.ran(execution, seconds)
                if outcome is None:
                    self._tally.settled(Succeeded(claim=execution.claim))
            _log(execution, outcome, seconds)


def _log(execution: Execution, outcome: Outcome | None, seconds: float) -> None:
    job = execution.claim.job
    match outcome:
        case None | Succeeded():
            logger.info("Task id=%s path=%s succeeded in %.3f s", job.id, job.name, seconds)
        case Retrying(attempt=attempt, delay=delay):
            failures = job.failures + 1
            logger.warning(
                "Task id=%s path=%s failed (%s), attempt %d; next in %.1f s",
                job.id,
                job.name,
                attempt.exception,
                failures,
                delay,
            )
        case Failed(attempt=attempt):
            logger.error(
                "Task id=%s path=%s failed for good after %d attempts in %.3f s\n%s",
                job.id,
                job.name,
                job.failures + 1,
                seconds,
                execution.shown(attempt.traceback).rstrip(),
            )
        case _:
            logger.info("Task id=%s path=%s ended as %s", job.id, job.name, type(outcome).__name__.lower())
