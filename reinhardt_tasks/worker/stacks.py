"""What a worker does just now, for whoever has to find out why nothing moves."""

from __future__ import annotations

import logging
import sys
import threading
import traceback

from .crew import Crew

logger = logging.getLogger("reinhardt_tasks")


def log_stacks(crew: Crew) -> None:
    """Log the stack of each thread of this process, which task it runs, and the coroutines that run."""
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        task = crew.threads.task_of(thread.ident or 0)
        what = f"runs id={task.claim.job.id} path={task.claim.job.name}" if task else "runs no task"
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        logger.warning("Thread %s %s\n%s", thread.name, what, stack.rstrip())
    for execution in crew.coroutines():
        logger.warning("Coroutine id=%s path=%s runs.", execution.claim.job.id, execution.claim.job.name)
