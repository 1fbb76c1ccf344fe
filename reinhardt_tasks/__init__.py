"""Background tasks for Django that a team can trust. The public names; importing this needs neither models nor redis."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ._compat import TaskResultStatus
    from .backends import DatabaseBackend, DummyBackend, ImmediateBackend, RedisBackend, TaskBackend
    from .brokers.database.results import DatabaseResultBackend
    from .brokers.redis.results import RedisResultBackend
    from .contexts import TaskContext, get_current_context
    from .exceptions import (
        BackendError,
        DuplicateTask,
        ExecutionFailed,
        InstanceMissing,
        InvalidSchedule,
        InvalidWorkflow,
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
        WorkflowNotFound,
    )
    from .jobs import Progress, TaskId, TaskPriority, TaskStatus
    from .limits import Concurrency, Debounce, RateLimit, Unique
    from .log_lines import LogLine
    from .queues import QueueConfig, TaskQueue
    from .registry import TaskRegistry
    from .result_backends import MemoryResultBackend, ResultBackend, TaskOutput, TaskResultMetadata
    from .results import TaskResult
    from .retries import RetryState, RetryStrategy
    from .schedules import At, CronSchedule, IntervalSchedule, Schedule, scheduled
    from .scheduling import Scheduler
    from .tasks import Task, task
    from .worker import Worker, WorkerConfig
    from .workflow_states import ChainStatus
    from .workflows.chains import TaskChain, TaskChainBuilder
    from .workflows.graphs import Workflow
    from .workflows.groups import group
    from .workflows.placeholders import failure, item, previous_result, result_of
    from .workflows.runs import WorkflowRun, get_workflow
    from .workflows.steps import step

#: Public name → the module that has it. Loaded when asked for: most need settings, which may not be there yet.
_PLACES = {
    "_compat": ["TaskResultStatus"],
    "backends": ["DatabaseBackend", "DummyBackend", "ImmediateBackend", "RedisBackend", "TaskBackend"],
    "brokers.database.results": ["DatabaseResultBackend"],
    "brokers.redis.results": ["RedisResultBackend"],
    "worker": ["Worker", "WorkerConfig"],
    "exceptions": [
        "BackendError",
        "DuplicateTask",
        "ExecutionFailed",
        "InstanceMissing",
        "InvalidSchedule",
        "InvalidWorkflow",
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
        "WorkflowNotFound",
    ],
    "contexts": ["TaskContext", "get_current_context"],
    "jobs": ["Progress", "TaskId", "TaskPriority", "TaskStatus"],
    "limits": ["Concurrency", "Debounce", "RateLimit", "Unique"],
    "log_lines": ["LogLine"],
    "queues": ["QueueConfig", "TaskQueue"],
    "registry": ["TaskRegistry"],
    "result_backends": ["MemoryResultBackend", "ResultBackend", "TaskOutput", "TaskResultMetadata"],
    "results": ["TaskResult"],
    "retries": ["RetryState", "RetryStrategy"],
    "schedules": ["At", "CronSchedule", "IntervalSchedule", "Schedule", "scheduled"],
    "scheduling": ["Scheduler"],
    "tasks": ["Task", "task"],
    "workflow_states": ["ChainStatus"],
    "workflows": [
        "TaskChain",
        "TaskChainBuilder",
        "Workflow",
        "WorkflowRun",
        "failure",
        "get_workflow",
        "group",
        "item",
        "previous_result",
        "result_of",
        "step",
    ],
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "At",
    "BackendError",
    "ChainStatus",
    "Concurrency",
    "CronSchedule",
    "DatabaseBackend",
    "DatabaseResultBackend",
    "Debounce",
    "DummyBackend",
    "DuplicateTask",
    "ExecutionFailed",
    "ImmediateBackend",
    "InstanceMissing",
    "IntervalSchedule",
    "InvalidSchedule",
    "InvalidWorkflow",
    "LogLine",
    "MaxRetriesExceeded",
    "MemoryResultBackend",
    "Progress",
    "QueueConfig",
    "QueueError",
    "RateLimit",
    "RedisBackend",
    "RedisResultBackend",
    "ResultBackend",
    "Retry",
    "RetryState",
    "RetryStrategy",
    "Schedule",
    "Scheduler",
    "SerializationFailed",
    "Task",
    "TaskBackend",
    "TaskCancelled",
    "TaskChain",
    "TaskChainBuilder",
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
    "Worker",
    "WorkerConfig",
    "WorkerLost",
    "Workflow",
    "WorkflowNotFound",
    "WorkflowRun",
    "failure",
    "get_current_context",
    "get_workflow",
    "group",
    "item",
    "previous_result",
    "result_of",
    "scheduled",
    "step",
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
