"""What a worker does while its store, or a part of it, does not answer: outcomes wait, and nothing is lost or made up."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial, reduce

from ..bare_outcomes import attempt_of
from ..brokers.base import Broker, WorkerInfo
from ..cuts import beginning
from ..exception_text import Clean, log_exception
from ..exceptions import BackendError, QueueError
from ..jobs import Claim, Failed, Outcome
from ..redaction import cleaner, may_hide
from ..retries import pause_after

logger = logging.getLogger("reinhardt_tasks")

#: After this many failures in a row the outcomes are tried one by one: one of them may be the fault.
SUSPICIOUS = 3
#: So often, some seconds apart, a store must have refused an outcome and answered before and after, until that is believed: a
#: way to it that is cut again and again looks the same, and costs no task its success.
REFUSALS = 5
#: Seconds after which a store that fails has hung.
HANGS = 4.0
#: The longest pause between two tries, and the pause for outcomes whose part of the store is away; in seconds.
LONGEST_PAUSE, PART_PAUSE = 10.0, 2.0
#: Letters that are kept of what a store said when it refused an outcome: it may repeat all of that.
REFUSAL_LETTERS = 5000


class Outages:
    """Counts failures, says when to try again, and keeps what has to wait longer than the rest."""

    def __init__(self, broker: Broker, worker: WorkerInfo) -> None:
        self._broker = broker
        self._worker = worker
        self._failures = 0
        self._later: list[tuple[float, Outcome]] = []
        #: The id of a job and the token of its claim → how often its outcome was refused, and how often put off with others.
        self._refusals: Counter[tuple[str, int]] = Counter()
        self._delays: Counter[tuple[str, int]] = Counter()
        self.retry_at = 0.0

    @property
    def is_resting(self) -> bool:
        """Whether the next try is not due yet."""
        return time.monotonic() < self.retry_at

    @property
    def is_on(self) -> bool:
        """Whether the last try failed, or outcomes wait for a part of the store."""
        return self._failures > 0 or bool(self._later)

    def failed(self, exc: Exception, outcomes: Sequence[Outcome] = ()) -> bool:
        """Take note of a failure, with outcomes perhaps; return whether it is time to look for one that is the fault."""
        self._failures += 1
        pause = pause_after(self._failures, first=0.1, longest=LONGEST_PAUSE)
        self.retry_at = time.monotonic() + pause
        if self._failures in (1, 2) or self._failures % 10 == 0:
            report = (
                logger.warning
                if isinstance(exc, QueueError)
                else partial(log_exception, cleaner=partial(_cleaner_of, outcomes))
            )
            words = "The store did not answer (try %d, next in %.1f s): %s"
            report(words, self._failures, pause, words_of(exc, outcomes))
        return self._failures >= SUSPICIOUS

    def recovered(self) -> None:
        """Take note that the store answers."""
        if self._failures:
            logger.warning("The store answers again, after %d tries.", self._failures)
        self._failures = 0
        self.retry_at = 0.0

    def put_off(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes whose part of the store is away, or is thought to be: one of them may be the fault."""
        self._delays.update(map(_key, outcomes))
        self._keep(outcomes)

    @property
    def put_by(self) -> int:
        """How many outcomes wait for a part of the store."""
        return len(self._later)

    def due(self) -> list[Outcome]:
        """Take out what was put off and is to be tried again now, together with others."""
        return self._due(lambda outcome: not self._is_suspect(outcome))

    def suspects(self) -> list[Outcome]:
        """Take out what was put off and is to be tried again now, by itself."""
        return self._due(self._is_suspect)

    def _due(self, fits: Callable[[Outcome], bool]) -> list[Outcome]:
        if not self._later:
            return []
        now = time.monotonic()
        found = [(at <= now and fits(outcome), at, outcome) for at, outcome in self._later]
        self._later = [(at, outcome) for is_taken, at, outcome in found if not is_taken]
        return [outcome for is_taken, _, outcome in found if is_taken]

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of what the store has taken."""
        if self._refusals or self._delays:
            for outcome in outcomes:
                self._refusals.pop(_key(outcome), None)
                self._delays.pop(_key(outcome), None)

    def rest(self) -> list[Outcome]:
        """Take out everything that was put off."""
        later, self._later = self._later, []
        return [outcome for _, outcome in later]

    def sift(self, outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[Claim], list[Outcome]]:
        """Try outcomes one by one; return those that were recorded, the claims among them that were lost, and the others.

        One that its store refuses while it answers otherwise is put off, and after some times of that comes back as the
        failure that says so. At the first whose store does not answer this ends: those behind it go first the next time.
        """
        recorded: list[Outcome] = []
        lost: list[Claim] = []
        left: list[Outcome] = []
        for number, outcome in enumerate(outcomes):
            if not self._try(outcome, recorded, lost, left):
                left += [*outcomes[number + 1 :], outcome]
                break
        if not left:
            self.recovered()
        return recorded, lost, left

    def _try(self, outcome: Outcome, recorded: list[Outcome], lost: list[Claim], left: list[Outcome]) -> bool:
        """Try one outcome, twice; return False where its store does not answer, since nothing else is a refusal."""
        for is_last in (False, True):
            began = time.monotonic()
            try:
                lost += self._broker.settle([outcome])
                recorded.append(outcome)
                return True
            except Exception as exc:
                # What hangs is not asked again: the worker has others to see to.
                if time.monotonic() - began >= HANGS or not self._answers_for(outcome):
                    return False
                if is_last and self._is_refused_for_good(outcome, exc):
                    left.append(_refusal(outcome, exc))
                elif is_last:
                    self._keep([outcome])
        return True

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        at = time.monotonic() + PART_PAUSE
        self._later += [(at, outcome) for outcome in outcomes]

    def _is_suspect(self, outcome: Outcome) -> bool:
        """Return whether to try it alone: always once it was refused, else each time that it was put off often enough."""
        return self._refusals[_key(outcome)] > 0 or self._delays[_key(outcome)] % SUSPICIOUS == 0

    def _is_refused_for_good(self, outcome: Outcome, exc: Exception) -> bool:
        job = outcome.claim.job
        self._refusals[_key(outcome)] += 1
        times = self._refusals[_key(outcome)]
        logger.warning(
            "The store refused the outcome of task id=%s path=%s (%d of %d times): %s",
            job.id,
            job.name,
            times,
            REFUSALS,
            words_of(exc, [outcome]),
        )
        if times < REFUSALS:
            return False
        del self._refusals[_key(outcome)]
        return True

    def _answers_for(self, outcome: Outcome) -> bool:
        """Return whether the store answers, and the part of it that keeps this job."""
        try:
            self._broker.heartbeat(self._worker)
            self._broker.get([outcome.claim.job.id])
        except Exception:
            return False
        return True


def words_of(exc: Exception, outcomes: Sequence[Outcome]) -> str:
    """Return what a store said when it was to record outcomes, as people may see it."""
    clean = _cleaner_of(outcomes)
    return str(exc) if clean is None else clean(str(exc))


def _cleaner_of(outcomes: Sequence[Outcome]) -> Clean | None:
    """Return what cleans a store's words about outcomes, which may repeat any of them; None where they hide nothing."""
    cleaners = [cleaner(outcome.claim.job) for outcome in outcomes if may_hide(outcome.claim.job.name)]
    return (lambda text: reduce(lambda left, clean: clean(left), cleaners, text)) if cleaners else None


def _key(outcome: Outcome) -> tuple[str, int]:
    return outcome.claim.job.id, outcome.claim.token


def _refusal(outcome: Outcome, exc: Exception) -> Outcome:
    words = f"The store refused the outcome of this task ({type(outcome).__name__}): {exc}"
    attempt = attempt_of(outcome.claim, BackendError(beginning(words, REFUSAL_LETTERS)))
    return Failed(claim=outcome.claim, attempt=attempt)
