"""What becomes of one thing that was found: a verdict, and sentences for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of it, or would, in a rehearsal."""

    IMPORTED = "imported"
    #: It was brought here before, or code declares it.
    PRESENT = "present"
    #: There is nothing to bring: it has run, or nobody needs it here.
    LEFT = "left"
    #: It cannot be here what it is there. It stays as it is there.
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Found:
    """One schedule, or one waiting task, of another system."""

    source: str
    #: "schedule" or "task".
    kind: str
    #: What it is called there; of a task, its id.
    name: str
    #: The task's name here.
    task: str
    verdict: Verdict
    #: What it is here, in plain English: when it runs, and where.
    words: str = ""
    #: Why it is refused, left, or there already.
    reason: str = ""
    #: What of it does not come along, or comes along changed.
    notes: tuple[str, ...] = ()


class NotTaken(Exception):
    """Why something is not imported: it is REFUSED, LEFT, or PRESENT."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


def refused(reason: str) -> NotTaken:
    return NotTaken(Verdict.REFUSED, reason)


def left(reason: str) -> NotTaken:
    return NotTaken(Verdict.LEFT, reason)


def present(reason: str) -> NotTaken:
    return NotTaken(Verdict.PRESENT, reason)
