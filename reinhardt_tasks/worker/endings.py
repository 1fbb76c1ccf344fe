"""What has ended since the loop last turned: logged and counted by the loop.

Not in the tasks' threads, which would wait for one another at the log's lock.
"""

from __future__ import annotations

import logging
import threading
import time

from ..exception_text import log_exception
from ..execution import Execution
from ..jobs import Failed, Job, Outcome, Retrying, Succeeded
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
    try:
        _describe(execution, outcome, seconds)
    except Exception:
        # A filter of a project's, say. No line is worth the worker, whose loop this is.
        words = "Task id=%s: what became of it could not be logged."
        log_exception(words, execution.claim.job.id, cleaner=lambda: execution.shown)


def _describe(execution: Execution, outcome: Outcome | None, seconds: float) -> None:
    job = execution.claim.job
    match outcome:
        case None | Succeeded():
            _say(logging.INFO, job, "succeeded in %.3f s", seconds)
        case Retrying(attempt=attempt, delay=delay):
            words = "failed (%s), attempt %d; next in %.1f s"
            _say(logging.WARNING, job, words, attempt.exception, job.failures + 1, delay)
        case Failed(attempt=attempt):
            traceback = execution.shown(attempt.traceback).rstrip()
            words = "failed for good after %d attempts in %.3f s"
            _say(logging.ERROR, job, words, job.failures + 1, seconds, traceback=traceback)
        case _:
            _say(logging.INFO, job, "ended as %s", type(outcome).__name__.lower())


def _say(level: int, job: Job, words: str, *values: object, traceback: str = "") -> None:
    if not logger.isEnabledFor(level):
        return
    # As a filter of `logs` gives them to what is logged inside of a task.
    facts = {"task_id": job.id, "task_name": job.name, "task_attempt": job.failures + 1, "task_queue": job.queue}
    words, values = f"Task id=%s path=%s {words}", (job.id, job.name, *values)
    record = logger.makeRecord(logger.name, level, __file__, 0, words, values, None, __name__, facts)
    # A formatter writes it below the message, one for JSON apart from that.
    record.exc_text = traceback or None
    logger.handle(record)
