"""Results by a task's id alone, apart from any queue: what a ResultBackend keeps, and the one that keeps it in memory."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

from .jobs import TaskStatus


@dataclass(frozen=True)
class TaskOutput:
    """A task's id and its result as text."""

    task_id: str
    result: str


@dataclass
class TaskResultMetadata:
    """What a ResultBackend keeps of one task. `created_at` is in whole seconds since 1970, UTC."""

    task_id: str
    status: TaskStatus
    result: str | None = None
    error: str | None = None
    created_at: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        # Its text will do: every store keeps that.
        self.status = TaskStatus(self.status)

    @classmethod
    def with_error(cls, task_id: str, error: str) -> TaskResultMetadata:
        """Return the record of a failure: status FAILURE, no result."""
        return cls(task_id=str(task_id), status=TaskStatus.FAILURE, error=error)

    def set_error(self, error: str) -> None:
        """Change the error alone."""
        self.error = error


class ResultBackend(ABC):
    """Keeps results by task id, apart from any queue."""

    @abstractmethod
    def store_result(self, metadata: TaskResultMetadata) -> None:
        """Keep a result, in place of an earlier one of the same task."""

    @abstractmethod
    def get_result(self, task_id: str) -> TaskResultMetadata | None:
        """Return a result, or None where there is none."""

    @abstractmethod
    def delete_result(self, task_id: str) -> None:
        """Forget a result; one that is not there is no error."""


class MemoryResultBackend(ResultBackend):
    """Results in this process's memory, for tests. Safe with threads."""

    def __init__(self) -> None:
        self._results: dict[str, TaskResultMetadata] = {}
        self._lock = threading.Lock()

    def store_result(self, metadata: TaskResultMetadata) -> None:
        with self._lock:
            self._results[str(metadata.task_id)] = replace(metadata)

    def get_result(self, task_id: str) -> TaskResultMetadata | None:
        with self._lock:
            found = self._results.get(str(task_id))
        return None if found is None else replace(found)

    def delete_result(self, task_id: str) -> None:
        with self._lock:
            self._results.pop(str(task_id), None)
