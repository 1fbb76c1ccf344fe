"""What may go wrong with a delivery on purpose: the worker dies, or what it tells its store is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from .. import followers
from ..bare_outcomes import lost_outcome
from ..brokers.base import WorkerInfo
from ..jobs import Claim, Outcome
from .broker import CapturedBroker


class Kind(Enum):
    """When it happens."""

    AFTER_CLAIM = "the worker dies before it runs the task"
    BEFORE_SETTLE = "the worker dies when the task has run"
    TWICE = "the worker is taken for dead while it runs the task"


@dataclass(eq=False)
class Fault:
    """Strikes the first `times` deliveries of each job of the task `name`; None is any task."""

    kind: Kind
    name: str | None
    times: int
    struck: Counter[str] = field(default_factory=Counter)

    def strikes(self, claim: Claim) -> bool:
        if self.name not in (None, claim.job.name) or self.struck[claim.job.id] >= self.times:
            return False
        self.struck[claim.job.id] += 1
        return True


def fault_for(claim: Claim, faults: Sequence[Fault]) -> Fault | None:
    return next((fault for fault in reversed(faults) if fault.strikes(claim)), None)


def lose(broker: CapturedBroker, claim: Claim, worker: WorkerInfo, late: Outcome | None) -> None:
    """Let the job's worker be lost and another one rescue it, as production does; `late` is what the lost one says then."""
    broker.leave(worker)
    rescuer = WorkerInfo(id=f"{worker.id}-rescuer", lease=worker.lease)
    for rescued in broker.rescue(1, rescuer):
        broker.settle(followers.all_ended([lost_outcome(rescued, broker.backend.settings)]))
    if late is not None:
        assert broker.settle([late]) == [claim], "A worker that was lost must not settle."
