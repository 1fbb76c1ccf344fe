"""What any worker does for all: it gives new life to what dead workers held, and clears away what is old."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from django.db import connections

from .. import followers
from ..bare_outcomes import lost_outcome
from ..brokers.base import Broker, WorkerInfo
from ..exceptions import QueueError
from ..jobs import Released
from ..options import BackendOptions
from .lost_ends import LostEnds
from .tally import Tally

logger = logging.getLogger("reinhardt_tasks")

#: Jobs in one go, and seconds between two clearings of old jobs and two of what the store itself wants.
BATCH, PRUNE_EVERY, TIDY_EVERY = 500, 60.0, 2.0
#: Seconds of one clearing. However much is old (a RESULT_TTL that was shortened), the dead are looked for in between.
PRUNE_FOR = 1.0


class Maintenance:
    """Works in a thread of its own, so that a slow clearing delays neither tasks nor heartbeats.

    What a rescue brings to its end it leaves to `ends`, and tells of it between two rescues.
    """

    def __init__(
        self,
        broker: Broker,
        worker: WorkerInfo,
        options: BackendOptions,
        ends: LostEnds,
        tally: Tally | None = None,
    ) -> None:
        self._ends = ends
        self._tally = tally
        self._broker = broker
        self._worker = worker
        self._options = options
        #: While it holds what it has rescued and not settled: its worker's, as the store has it, and known to nobody else.
        self.is_rescuing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="reinhardt-maintenance", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(timeout=5)

    def rescue(self, begun: Collection[str] | None = None, of: str | None = None) -> int:
        """Take over what dead workers held and decide what becomes of it; return how many jobs that were.

        `begun` names the jobs that were running in the worker `of`, where that is known: its others are given back as if
        never claimed.
        """
        self.is_rescuing = True
        try:
            return self._rescue(begun, of)
        finally:
            self.is_rescuing = False

    def _rescue(self, begun: Collection[str] | None, of: str | None) -> int:
        number = 0
        while claims := self._broker.rescue(BATCH, self._worker):
            outcomes = followers.all_ended(
                [
                    Released(claim=claim)
                    if begun is not None and claim.job.id not in begun and of in (None, claim.job.worker)
                    else lost_outcome(claim, self._options)
                    for claim in claims
                ]
            )
            gone = {claim.job.id for claim in self._broker.settle(outcomes)}
            if self._tally is not None:
                for outcome in outcomes:
                    self._tally.rescued(outcome)
            self._ends.add(each for each in outcomes if each.claim.job.id not in gone)
            number += len(claims)
            if len(claims) < BATCH:
                break
        return number

    def prune(self) -> bool:
        """Delete what finished longer ago than the backend keeps it, for PRUNE_FOR seconds; return whether that was all."""
        if self._options.result_ttl is None:
            return True
        before = datetime.now(UTC) - timedelta(seconds=self._options.result_ttl)
        until = time.monotonic() + PRUNE_FOR
        while self._broker.prune(before, BATCH) >= BATCH:
            if self._closing.is_set() or time.monotonic() >= until:
                return False
        return True

    def _tidy(self) -> None:
        # On its own: it may hang on another store than the jobs do (an outbox), and a rescue must not wait for that.
        try:
            self._broker.tidy()
        except QueueError as exc:
            logger.warning("Tidying could not reach the store: %s", exc)
        except Exception:
            logger.exception("Tidying failed; it goes on.")

    def _tend(self) -> None:
        lease, keep = self._options.lease, self._options.result_ttl
        followers.tend(timedelta(seconds=lease), None if keep is None else timedelta(seconds=keep))

    def _serve(self) -> None:
        rescue_every = min(self._worker.lease / 6, 5.0)
        step = min(rescue_every, TIDY_EVERY)
        rescue_at, prune_at = 0.0, time.monotonic() + PRUNE_EVERY
        while True:
            self._tidy()
            try:
                if time.monotonic() >= rescue_at:
                    rescue_at = time.monotonic() + rescue_every
                    self.rescue()
                    self._ends.tell()
                    self._tend()
                if time.monotonic() >= prune_at:
                    prune_at = time.monotonic() + PRUNE_EVERY
                    if not self.prune():
                        prune_at = 0.0
            except QueueError as exc:
                logger.warning("Maintenance could not reach the store: %s", exc)
            except Exception:
                logger.exception("Maintenance failed; it goes on.")
            if self._closing.wait(step):
                break
        self._broker.close()
        connections.close_all()
