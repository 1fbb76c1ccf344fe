"""For tests of code that enqueues: look at what was enqueued, run it here and now, move time, let workers die."""

from .captured import CapturedTasks, CapturedTasksMixin, captured_tasks
from .draining import TasksFailed

__all__ = ["CapturedTasks", "CapturedTasksMixin", "TasksFailed", "captured_tasks"]
