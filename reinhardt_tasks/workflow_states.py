"""The states of workflows and of their steps, for those who build them and those who store them."""

from __future__ import annotations

from enum import StrEnum


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
