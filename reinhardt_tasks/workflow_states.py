"""The states of workflows and of their steps, and how a job is known as one, for those who build them and those who store them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

#: The header by which a job is known as a step.
HEADER = "workflow"


class ChainStatus(StrEnum):
    """The states of a chain, and of any other workflow."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_finished(self) -> bool:
        """Whether it is one of COMPLETED, FAILED and CANCELLED."""
        return self in ENDED


ENDED = (ChainStatus.COMPLETED, ChainStatus.FAILED, ChainStatus.CANCELLED)
ACTIVE = (ChainStatus.PENDING, ChainStatus.RUNNING)


class StepStatus(StrEnum):
    """The states of a step as they are recorded. What goes on between READY and the end, the queue knows."""

    #: Something that it needs has not ended.
    WAITING = "WAITING"
    #: Nothing is in its way: its task is in the queue, or will be, or runs.
    READY = "READY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"
    #: A handler of failures without a failure. In a list of steps also: one that was never reached.
    SKIPPED = "SKIPPED"

    @property
    def is_finished(self) -> bool:
        """Whether it is neither WAITING nor READY."""
        return self not in (StepStatus.WAITING, StepStatus.READY)


def filled_later(headers: Mapping[str, Any]) -> set[int | str]:
    """Return the positions and names of a job's arguments into which results of other steps are put when it runs."""
    note = headers.get(HEADER)
    places = note.get("places") if isinstance(note, dict) else None
    return {path[1] for path, _source in places or ()}
