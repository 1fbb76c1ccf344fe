"""What a worker holds, and what has ended and is not recorded yet: between a claim and its settlement nothing is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from ..brokers.base import Broker, WorkerInfo
from ..exceptions import PartlySettled, QueueError
from ..jobs import Cancelled, Claim, Outcome, Released, Retrying, Succeeded
from .outages import Outages, words_of
from .tally import Tally

logger = logging.getLogger("reinhardt_tasks")


class Ledger:
    """The claims and the outcomes of one worker. `lock` guards `ended`; it is the worker's, who looks at more in one step."""

    def __init__(self, broker: Broker, worker: WorkerInfo, lock: threading.Condition, tally: Tally | None) -> None:
        self.outages = Outages(broker, worker)
        #: Job id → the claim under which it is held, until its outcome is recorded.
        self.held: dict[str, Claim] = {}
        #: Outcomes that are to be recorded with the next ones.
        self.ended: list[Outcome] = []
        self.succeeded = self.failed = self.cancelled = self.retried = 0
        self._broker = broker
        self._lock = lock
        self._tally = tally

    @property
    def unrecorded(self) -> int:
        """How many tasks have ended and are held until that is recorded."""
        return len(self.ended) + self.outages.put_by

    @property
    def is_clear(self) -> bool:
        """Whether nothing is held, and nothing is to be recorded."""
        return not self.held and not self.ended

    def believed(self) -> dict[str, int]:
        """Return what is held here as far as is known here: job id → token."""
        return {job_id: claim.token for job_id, claim in list(self.held.items())}

    def hold(self, claim: Claim) -> None:
        self.held[claim.job.id] = claim

    def drop(self, job_id: str) -> None:
        """Hold no more what somebody else settles."""
        self.held.pop(job_id, None)

    def settled_itself(self, job_id: str) -> None:
        """Take note of the success of an atomic task, which has recorded it."""
        self.drop(job_id)
        self.succeeded += 1

    def take(self) -> list[Outcome]:
        """Take out what is to be recorded now. Called with the lock."""
        outcomes, self.ended = [*self.outages.due(), *self.ended], []
        return outcomes

    def settle(self, outcomes: list[Outcome]) -> None:
        """Record outcomes without a claim; put off what lies in a part of the store that is away."""
        try:
            lost = self._broker.settle(outcomes)
        except PartlySettled as exc:
            outcomes, lost = self.put_by(outcomes, exc), exc.lost
        self.recorded(outcomes, lost)

    def give_back(self, claims: Sequence[Claim], delay: float) -> None:
        """Give back at once what does not begin here."""
        back: list[Outcome] = [Released(claim=claim, delay=delay) for claim in claims]
        for claim in claims:
            self.hold(claim)
        try:
            self.settle(back)
        except QueueError as exc:
            self.put_off(back, exc)

    def recorded(self, outcomes: Sequence[Outcome], lost: Sequence[Claim]) -> None:
        """Hold no more what was recorded, or was lost."""
        self.outages.settled(outcomes)
        gone = {claim.job.id for claim in lost}
        for claim in lost:
            logger.warning(
                "Task id=%s path=%s ended here after its lease was lost; nothing is recorded.",
                claim.job.id,
                claim.job.name,
            )
            if self._tally is not None:
                self._tally.lost_lease()
        for outcome in outcomes:
            job_id = outcome.claim.job.id
            if self.held.get(job_id) is outcome.claim:
                del self.held[job_id]
            if job_id not in gone:
                self._count(outcome)

    def put_by(self, outcomes: Sequence[Outcome], problem: PartlySettled) -> list[Outcome]:
        """Keep what a part of the store did not take for later; return the others."""
        self.outages.put_off(problem.unsettled)
        return [outcome for outcome in outcomes if outcome not in problem.unsettled]

    def put_off(self, outcomes: Sequence[Outcome], exc: Exception) -> None:
        """Keep the outcomes for later, and let the store some time."""
        with self._lock:
            self.ended = [*outcomes, *self.ended]
        if self.outages.failed(exc, outcomes) and outcomes:
            with self._lock:
                suspects, self.ended = self.ended, []
            self._sift(suspects)

    def sift_suspects(self) -> None:
        """Record one by one what may be the reason for which others cannot be recorded."""
        if suspects := self.outages.suspects():
            self._sift(suspects)

    def settle_last(self) -> None:
        """Record what can be, once more; the rest runs again when the lease is over."""
        with self._lock:
            outcomes, self.ended = self.ended, []
        # What the store has refused before must not take the others with it.
        for some in (outcomes, self.outages.rest()):
            try:
                if some:
                    self.settle(some)
            except Exception as exc:
                _warn_of_unsettled(len(some), words_of(exc, some))
        if left := self.outages.put_by:
            _warn_of_unsettled(left, "a part of the store is away")

    def _sift(self, outcomes: Sequence[Outcome]) -> None:
        recorded, lost, left = self.outages.sift(outcomes)
        self.recorded(recorded, lost)
        with self._lock:
            self.ended = [*left, *self.ended]

    def _count(self, outcome: Outcome) -> None:
        if self._tally is not None:
            self._tally.settled(outcome)
        match outcome:
            case Succeeded():
                self.succeeded += 1
            case Retrying():
                self.retried += 1
            case Released():
                pass
            case Cancelled():
                self.cancelled += 1
            case _:
                self.failed += 1


def _warn_of_unsettled(number: int, reason: object) -> None:
    logger.warning("%d tasks could not be settled, and run again when the lease is over: %s", number, reason)


def makes_ready(outcome: Outcome) -> bool:
    """Return whether somebody may claim something when this is settled."""
    return isinstance(outcome, (Retrying, Released)) and outcome.delay <= 0
