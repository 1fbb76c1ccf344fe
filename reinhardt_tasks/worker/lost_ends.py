"""What a rescue has brought to its end, told to the receivers of `task_finished`: afterwards, so that none of them delays it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable

from .. import signals
from ..brokers.base import Broker
from ..exception_text import log_exception
from ..exceptions import QueueError
from ..jobs import Cancelled, Failed, Job, Outcome
from ..receivers import guarded
from ..redaction import cleaner
from ..registry import registry, task_of
from ..results import result_of
from .connections import tidy_connections

logger = logging.getLogger("reinhardt_tasks")

#: Seconds until a store that did not answer is asked again.
PAUSE = 5.0


class LostEnds:
    """Keeps what is to be told. `sender` is the backend's class."""

    def __init__(self, broker: Callable[[], Broker], sender: type) -> None:
        self._broker = broker
        self._sender = sender
        self._untold: deque[str] = deque()
        self._rests_until = 0.0

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Keep of some recorded outcomes those that are ends."""
        self._untold.extend(each.claim.job.id for each in outcomes if isinstance(each, Failed | Cancelled))

    def tell(self, seconds: float | None = None) -> None:
        """Tell of all, or of as many as can be begun in some seconds; what the store did not answer for is told later.

        Never raises. Afterwards the connections of this thread are as if no receiver had used them.
        """
        began = time.monotonic()
        if not self._untold or began < self._rests_until:
            return
        while self._untold and (seconds is None or time.monotonic() - began < seconds):
            job_id = self._untold.popleft()
            try:
                job = self._broker().get([job_id]).get(job_id)
            except QueueError as exc:
                self._untold.appendleft(job_id)
                self._rests_until = time.monotonic() + PAUSE
                logger.warning("The end of %d lost tasks is told later: %s", len(self._untold), exc)
                break
            except Exception:
                log_exception("Task id=%s: its end could not be told.", job_id)
                continue
            # A person may have had it run again since.
            if job is not None and job.status.is_finished and registry.has(job.name):
                self._send(job)
        tidy_connections()

    def _send(self, job: Job) -> None:
        with guarded(job.id, lambda: cleaner(job)):
            signals.task_finished.send_robust(sender=self._sender, task_result=result_of(job, task_of(job)))
