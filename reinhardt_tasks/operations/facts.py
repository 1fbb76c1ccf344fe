"""A task as JSON has it: the shape is documented, and only grows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .views import TaskView


def facts_of(task: TaskView) -> dict[str, Any]:
    """Return everything about a task."""
    return {
        "id": task.id,
        "backend": task.backend,
        "name": task.name,
        "is_registered": task.is_registered,
        "queue": task.queue,
        "status": task.status.value,
        "is_put_back": task.is_put_back,
        "priority": task.priority,
        "task_priority": task.task_priority,
        "args": task.call.args,
        "kwargs": task.call.kwargs,
        "arguments_problem": task.call.problem or None,
        "redacted": task.call.is_redacted,
        "metadata": dict(task.metadata),
        "progress": list(task.progress) if task.progress else None,
        "progress_message": task.progress.message if task.progress else None,
        "limits": [
            {"key": limit.key, "size": limit.size, "every": limit.every / 1_000_000 if limit.every else None}
            for limit in task.limits
        ],
        "schedule": task.schedule or None,
        "workflow": task.workflow or None,
        "max_attempts": task.max_attempts,
        "once_key": task.once_key,
        "worker": task.worker,
        "cancel_requested": task.cancel_requested,
        "run_after": moment_text(task.run_after),
        "enqueued_at": moment_text(task.enqueued_at),
        "due_at": moment_text(task.due_at),
        "started_at": moment_text(task.started_at),
        "last_attempted_at": moment_text(task.last_attempted_at),
        "finished_at": moment_text(task.finished_at),
        "exception": task.exception or None,
        "message": task.exception_line or None,
        "result": _value(task.result),
        "attempts": [
            {
                "number": attempt.number,
                "worker": attempt.worker,
                "started_at": moment_text(attempt.started_at),
                "finished_at": moment_text(attempt.finished_at),
                "duration": attempt.duration,
                "exception": attempt.exception or None,
                "message": attempt.exception_line or None,
                "traceback": attempt.traceback or None,
                "lost": attempt.lost,
                "cancelled": attempt.cancelled,
            }
            for attempt in task.attempts
        ],
    }


def log_as_json(task: TaskView) -> dict[str, Any]:
    """Return what a task has logged as JSON has it, beside `facts_of`."""
    lines = [
        {
            "attempt": line.attempt,
            "at": moment_text(line.at),
            "level": line.level,
            "logger": line.logger,
            "message": line.message,
        }
        for line in task.log
    ]
    return {"log": lines, "log_dropped": task.dropped}


def moment_text(moment: datetime | None) -> str | None:
    """Return a moment as ISO 8601 has it, in UTC; None for none."""
    return None if moment is None else moment.isoformat()


def _value(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text
