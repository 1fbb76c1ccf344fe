"""The process that serves a supervisor's metrics: the supervisor itself has no threads, and waits for nobody.

It holds no counts. For each page it asks the supervisor, over a link, for those of all worker processes together; so it
may die at any time, and another takes its place.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from .link import Link
from .tally import Snapshot, Tally

logger = logging.getLogger("reinhardt_tasks")

#: Seconds until an exporter that has died is replaced, and those that a page waits for the supervisor.
PAUSE, PATIENCE = 1.0, 3.0

#: Starts an exporter with its end of a link, and what it has to let go of first; returns its process id.
Bear = Callable[[Link, Callable[[], None]], int]


class Exporting:
    """The supervisor's side: the counts of all its processes, and the process that shows them, if there is to be one."""

    def __init__(self, bear: Bear | None = None, let_go: Callable[[], None] = lambda: None) -> None:
        self.totals = Tally()
        self._bear = bear
        #: Closes, in a worker process, what belongs to the exporter.
        self._let_go = let_go
        self._pid = 0
        self._link: Link | None = None
        self._born_next_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether an exporter is to be started now."""
        return self._bear is not None and self._link is None and time.monotonic() >= self._born_next_at

    def start(self, clean: Callable[[], None]) -> Link:
        """Start an exporter; return our end of its link."""
        assert self._bear is not None
        ours, theirs = Link.pair()
        ours.never_block()

        def clean_all() -> None:
            clean()
            ours.close()

        self._pid = self._bear(theirs, clean_all)
        theirs.close()
        self._link = ours
        return ours

    def answer(self, messages: Iterable[dict[str, Any]], loads: Iterable[dict[str, float]]) -> None:
        """Answer the exporter's questions."""
        if self._link is None or not any("scrape" in message for message in messages):
            return
        load: Counter[str] = Counter()
        for each in loads:
            load.update(each)
        counted = [[*key, number] for key, number in self.totals.numbers().items()]
        if not self._link.is_clogged:
            self._link.tell(counted=counted, load=dict(load))

    def flush(self) -> None:
        if self._link is not None:
            self._link.flush()

    def reap(self) -> Link | None:
        """Return the link of an exporter that has died, no longer ours; None where it lives."""
        if self._link is None or not os.waitpid(self._pid, os.WNOHANG)[0]:
            return None
        logger.warning("The process that serves the metrics has ended; another takes its place.")
        gone, self._link = self._link, None
        self._born_next_at = time.monotonic() + PAUSE
        return gone

    def let_go(self) -> None:
        """Close, in a worker process, what it has of all this."""
        self._let_go()
        if self._link is not None:
            self._link.close()

    def end(self) -> None:
        """End the exporter: it has nothing to finish."""
        if self._link is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._link.close()
        self._link = None


class Asking:
    """The exporter's side: a source of metrics that asks the supervisor."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._news = threading.Condition()
        self._answers = 0
        self._last: Snapshot = ({}, {})

    def __call__(self) -> Snapshot:
        """Return the counts of now; those of the last time where the supervisor is busy."""
        with self._news:
            before = self._answers
            self._link.tell(scrape=True)
            self._news.wait_for(lambda: self._answers > before, PATIENCE)
            return self._last

    def listen(self) -> None:
        """Take the supervisor's answers until it is gone."""
        for message in self._link.messages():
            numbers = {(what, task, queue, more): number for what, task, queue, more, number in message["counted"]}
            with self._news:
                self._last, self._answers = (numbers, message["load"]), self._answers + 1
                self._news.notify_all()
