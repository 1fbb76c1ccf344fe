"""Which of the tasks here have a limit of time, and when it is over."""

from __future__ import annotations

import time

from ..execution import Execution
from ..options import BackendOptions
from ..registry import registry


class Deadlines:
    """Watches executions from before they begin until they end. Threads may watch and forget side by side."""

    def __init__(self, options: BackendOptions) -> None:
        self._options = options
        self._timed: dict[Execution, None] = {}

    def watch(self, execution: Execution) -> bool:
        """Watch a task that has not begun; return False where nothing limits it."""
        if not self._is_timed(execution):
            return False
        self._timed[execution] = None
        return True

    def forget(self, execution: Execution) -> None:
        self._timed.pop(execution, None)

    def next(self) -> float | None:
        """Return when the next time is over, by the monotonic clock."""
        return min((at for execution in list(self._timed) if (at := execution.deadline) is not None), default=None)

    def passed(self) -> list[Execution]:
        """Return those whose time is over, once."""
        now = time.monotonic()
        late = [execution for execution in list(self._timed) if (at := execution.deadline) is not None and at <= now]
        for execution in late:
            self.forget(execution)
        return late

    def _is_timed(self, execution: Execution) -> bool:
        """Return whether a job has a limit of time, without running anything of it."""
        job = execution.claim.job
        # One that is this call's own travels among its headers; an argument of that name costs a look at the clock.
        if '"timeout":' in job.payload:
            return True
        return self._options.timeout_of(registry.get(job.name) if registry.has(job.name) else None, job) is not None
