"""Those who follow what becomes of certain jobs: a job names its follower by a header, and other jobs cost nothing.

A follower hears of a final outcome before it is settled, and may know one already when the job is claimed again: so what
follows from a job can be recorded once, however its worker dies.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from .exceptions import QueueError, SerializationFailed
from .jobs import Cancelled, Claim, Failed, Outcome, Released, Succeeded
from .serialization import decode_call

logger = logging.getLogger("reinhardt_tasks")

#: Seconds until a job is offered again whose follower could not be asked.
UNKNOWN_DELAY = 5.0


class Follower(Protocol):
    """Both are called where the outcome is made: in a task's thread, in maintenance, in a supervisor. `note` is its header."""

    def begin(self, claim: Claim, note: Any, args: list[Any], kwargs: dict[str, Any]) -> Outcome | None:
        """Return the outcome that the job has without running (again), or None. May change the arguments in their place."""

    def ended(self, note: Any, outcome: Outcome) -> Outcome:
        """Record a final outcome; return the one to settle: this, or an earlier one that is on record. Never raises.

        Telling it again changes nothing. Inside of a transaction that `joins`, the record is part of it.
        """

    def joins(self) -> bool:
        """Return whether a record made here and now would be part of a transaction that is open here."""

    def tend(self, patience: timedelta, keep: timedelta | None) -> None:
        """Find what stands still for longer than `patience`, and move it; forget what ended longer ago than `keep`."""


#: Header → its follower.
FOLLOWERS: dict[str, Follower] = {}
#: Header → what kept its follower from tending the last time.
_complaints: dict[str, str] = {}


def begin(claim: Claim, headers: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Outcome | None:
    """Ask the followers whether a job may run, and with what. One that cannot be asked has the job put back for a while."""
    for name, follower in FOLLOWERS.items():
        if name not in headers:
            continue
        try:
            known = follower.begin(claim, headers[name], args, kwargs)
        except Exception as exc:
            _complain(exc, "Task id=%s path=%s is put back for %g s", claim.job.id, claim.job.name, UNKNOWN_DELAY)
            return Released(claim=claim, delay=UNKNOWN_DELAY)
        if known is not None:
            return known
    return None


def ended(headers: Mapping[str, Any], outcome: Outcome, *, in_transaction: bool = False) -> Outcome:
    """Let the followers record an outcome, if it is final; return the one to settle.

    With `in_transaction` only those whose records are part of it: what commits before it may be wrong afterwards.
    """
    if not isinstance(outcome, (Succeeded, Failed, Cancelled)):
        return outcome
    for name, follower in FOLLOWERS.items():
        if name in headers and (not in_transaction or follower.joins()):
            outcome = follower.ended(headers[name], outcome)
    return outcome


def all_ended(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Do as `ended` for outcomes of jobs that were not prepared here."""
    return [ended(_headers(outcome), outcome) if _may_be_followed(outcome) else outcome for outcome in outcomes]


def tend(patience: timedelta, keep: timedelta | None) -> None:
    """Let every follower look for what stands still. Raises nothing: the next round tries again."""
    for name, follower in FOLLOWERS.items():
        try:
            follower.tend(patience, keep)
        except Exception as exc:
            # Every few seconds for as long as it lasts, or for ever where nobody has migrated: told once.
            if _complaints.get(name) != str(exc):
                _complain(exc, "What stands still of header %r could not be looked for", name)
            _complaints[name] = str(exc)
        else:
            _complaints.pop(name, None)


def _may_be_followed(outcome: Outcome) -> bool:
    # A payload without headers has none of the names in it; most are told by that, without decoding.
    return isinstance(outcome, (Succeeded, Failed, Cancelled)) and any(
        f'"{name}"' in outcome.claim.job.payload for name in FOLLOWERS
    )


def _headers(outcome: Outcome) -> Mapping[str, Any]:
    try:
        return decode_call(outcome.claim.job.payload).headers
    except (SerializationFailed, RecursionError):
        return {}


def _complain(exc: Exception, words: str, *values: Any) -> None:
    if isinstance(exc, QueueError):
        logger.warning(f"{words}: %s", *values, exc)
    else:
        logger.exception(words, *values)
