"""Background tasks for Django that a team can trust. The public names; importing this needs neither models nor redis."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ._compat import TaskResultStatus
    from .exceptions import (
        BackendError,
        DuplicateTask,
        ExecutionFailed,
        InstanceMissing,
        InvalidSchedule,
        MaxRetriesExceeded,
        QueueError,
        Retry,
        SerializationFailed,
        TaskCancelled,
        TaskError,
        TaskExecutionError,
        TaskNotFound,
        TaskTimeout,
        WorkerLost,
    )
    from .jobs import Progress, TaskId, TaskPriority, TaskStatus
    from .limits import Concurrency, Debounce, RateLimit, Unique
    from .queues import QueueConfig, TaskQueue
    from .registry import TaskRegistry
    from .results import MemoryResultBackend, ResultBackend, TaskOutput, TaskResult, TaskResultMetadata
    from .retries import RetryState, RetryStrategy
    from .schedules import At, CronSchedule, IntervalSchedule, Schedule, scheduled
    from .scheduling import Scheduler
    from .tasks import Task, TaskContext, get_current_context, task

#: Public name → the module that has it. Loaded when asked for: most need settings, which may not be there yet.
_PLACES = {
    "_compat": ["TaskResultStatus"],
    "exceptions": [
        "BackendError",
        "DuplicateTask",
        "ExecutionFailed",
        "InstanceMissing",
        "InvalidSchedule",
        "MaxRetriesExceeded",
        "QueueError",
        "Retry",
        "SerializationFailed",
        "TaskCancelled",
        "TaskError",
        "TaskExecutionError",
        "TaskNotFound",
        "TaskTimeout",
        "WorkerLost",
    ],
    "jobs": ["Progress", "TaskId", "TaskPriority", "TaskStatus"],
    "limits": ["Concurrency", "Debounce", "RateLimit", "Unique"],
    "queues": ["QueueConfig", "TaskQueue"],
    "registry": ["TaskRegistry"],
    "results": ["MemoryResultBackend", "ResultBackend", "TaskOutput", "TaskResult", "TaskResultMetadata"],
    "retries": ["RetryState", "RetryStrategy"],
    "schedules": ["At", "CronSchedule", "IntervalSchedule", "Schedule", "scheduled"],
    "scheduling": ["Scheduler"],
    "tasks": ["Task", "TaskContext", "get_current_context", "task"],
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "At",
    "BackendError",
    "Concurrency",
    "CronSchedule",
    "Debounce",
    "DuplicateTask",
    "ExecutionFailed",
    "InstanceMissing",
    "IntervalSchedule",
    "InvalidSchedule",
    "MaxRetriesExceeded",
    "MemoryResultBackend",
    "Progress",
    "QueueConfig",
    "QueueError",
    "RateLimit",
    "ResultBackend",
    "Retry",
    "RetryState",
    "RetryStrategy",
    "Schedule",
    "Scheduler",
    "SerializationFailed",
    "Task",
    "TaskCancelled",
    "TaskContext",
    "TaskError",
    "TaskExecutionError",
    "TaskId",
    "TaskNotFound",
    "TaskOutput",
    "TaskPriority",
    "TaskQueue",
    "TaskRegistry",
    "TaskResult",
    "TaskResultMetadata",
    "TaskResultStatus",
    "TaskStatus",
    "TaskTimeout",
    "Unique",
    "WorkerLost",
    "get_current_context",
    "scheduled",
    "task",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PLACE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
