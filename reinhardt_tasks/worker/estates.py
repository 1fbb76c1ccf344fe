"""What a supervisor sees to when a worker process has left or died, or when a task in it does not stop."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..brokers.base import Broker, WorkerInfo
from ..exceptions import QueueError
from ..execution import Execution
from ..jobs import Claim, TaskStatus
from ..options import BackendOptions
from .children import Child
from .lost_ends import LostEnds
from .maintenance import Maintenance
from .tally import Tally

logger = logging.getLogger("reinhardt_tasks")


class Estates:
    """Signs processes off, gives away what they held, and records what became of their tasks."""

    def __init__(
        self,
        broker: Callable[[], Broker],
        options: BackendOptions,
        sender: type,
        new_info: Callable[[], WorkerInfo],
        totals: Tally,
    ) -> None:
        self._broker = broker
        self._options = options
        self._sender = sender
        self._new_info = new_info
        self._totals = totals
        self._ends = LostEnds(broker, sender)

    def sign_off(self, child: Child) -> None:
        # Our last heartbeat for it may have come after its own goodbye.
        try:
            self._broker().leave(child.info)
        except QueueError as exc:
            logger.warning("%s could not be signed off: %s", child.info.id, exc)

    def give_away(self, child: Child) -> None:
        """Let what a dead process held run again at once, not after its lease."""
        rescuer = self._new_info()
        try:
            broker = self._broker()
            broker.leave(child.info)
            maintenance = Maintenance(broker, rescuer, self._options, self._ends, self._totals)
            maintenance.rescue(begun=child.board.ids(), of=child.info.id)
            broker.leave(rescuer)
        except Exception as exc:
            logger.warning("The tasks of %s are given to others when its lease is over: %s", child.info.id, exc)

    def tell(self, seconds: float) -> None:
        """Tell of the tasks that ended with the process that held them, of as many as can be begun in some seconds."""
        self._ends.tell(seconds)

    def record(self, child: Child, job_id: str, token: int, reason: Exception) -> None:
        """Record that a task was stopped for this reason, unless it is not the process's any more."""
        broker = self._broker()
        job = broker.get([job_id]).get(job_id)
        if job is None or job.status is not TaskStatus.RUNNING or job.token != token:
            return
        execution = Execution(Claim(job=job, token=token, worker=child.info.id), self._options, self._sender)
        outcome = execution.prepare() or execution.stopped(reason)
        if not broker.settle([outcome]):
            self._totals.settled(outcome)
