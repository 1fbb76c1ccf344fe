"""Celery's `shared_task` over this package, so that a project moves task by task. It does not need Celery.

What cannot be here what it is there is refused where it is written, with the way out.
"""

from __future__ import annotations

from ...exceptions import MaxRetriesExceeded as MaxRetriesExceededError
from ...exceptions import Retry
from ...exceptions import TaskTimeout as SoftTimeLimitExceeded
from .bound import Bound, Request
from .results import AsyncResult
from .tasks import SharedTask, shared_task

__all__ = [
    "AsyncResult",
    "Bound",
    "MaxRetriesExceededError",
    "Request",
    "Retry",
    "SharedTask",
    "SoftTimeLimitExceeded",
    "shared_task",
]
