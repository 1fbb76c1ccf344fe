"""Who is suspected of ending processes runs alone: what is lost together says nothing about who of them did it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..jobs import Claim

#: Seconds for which a worker claims nothing so that a suspect may be alone: before it begins, and again while it runs.
#: Whoever takes longer shares the process: a task of a day must not keep a worker from its work.
ALONE = 30.0


class Quarantine:
    """Decides which claims begin now. A suspect is a job that fails when it loses one more worker.

    Beside others it would be failed by the first of them that crashes the process, whether it did anything or not. So it
    is given back while anything else runs, nothing more is claimed until that has ended, and then it has the process to
    itself.
    """

    def __init__(self, max_lost: int, now: Callable[[], float] = time.monotonic) -> None:
        self._max_lost = max_lost
        self._now = now
        #: The suspect that runs here, and until when it is to be alone.
        self._suspect: str | None = None
        self._alone_until = 0.0
        #: Until when nothing is claimed, so that what runs may end; None where nobody waits for that.
        self._clear_by: float | None = None

    def is_closed(self, is_busy: bool) -> bool:
        """Return whether nothing may be claimed now. `is_busy` says whether anything runs here."""
        if self._suspect is not None:
            return self._now() < self._alone_until
        return is_busy and self._clear_by is not None and self._now() < self._clear_by

    def admit(self, claims: Sequence[Claim], is_busy: bool) -> tuple[list[Claim], list[Claim]]:
        """Return the claims that begin now, and those to be given back before any of them does."""
        suspects = [claim for claim in claims if self._is_suspect(claim)]
        others = [claim for claim in claims if not self._is_suspect(claim)]
        if not suspects:
            self._clear_by = None
            return others, []
        if self._suspect is not None:
            return others, suspects
        if not is_busy:
            self._begin(suspects[0])
            return suspects[:1], [claim for claim in claims if claim is not suspects[0]]
        if self._clear_by is not None and self._now() >= self._clear_by:
            self._begin(suspects[0])
            return [*others, suspects[0]], suspects[1:]
        self._clear_by = self._clear_by or self._now() + ALONE
        return others, suspects

    def ended(self, job_id: str) -> None:
        """Take note that a job no longer runs here."""
        if self._suspect == job_id:
            self._suspect = None

    def _begin(self, suspect: Claim) -> None:
        self._suspect, self._alone_until, self._clear_by = suspect.job.id, self._now() + ALONE, None

    def _is_suspect(self, claim: Claim) -> bool:
        return claim.job.losses > 0 and claim.job.losses + 1 >= self._max_lost
