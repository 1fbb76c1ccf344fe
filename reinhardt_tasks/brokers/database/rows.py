"""Jobs as rows: which columns there are, and how a row becomes a Job. A damaged column spoils only itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ...fields import from_micros, to_micros
from ...jobs import Attempt, Job, TaskStatus

#: What every statement that gives back jobs selects, in this order.
COLUMNS = (
    "id",
    "alias",
    "name",
    "queue",
    "precedence",
    "payload",
    "status",
    "token",
    "max_attempts",
    "once_key",
    "metadata",
    "progress",
    "history",
    "result",
    "cancel_requested",
    "worker",
    "run_after",
    "enqueued_at",
    "due_at",
    "started_at",
    "last_attempted_at",
    "finished_at",
)


def job_of(row: Sequence[Any]) -> Job:
    """Return the job that a row of COLUMNS holds."""
    values = dict(zip(COLUMNS, row, strict=True))
    return Job(
        id=uuid_text(values["id"]),
        backend=values["alias"],
        name=values["name"],
        queue=values["queue"],
        priority=-values["precedence"],
        payload=values["payload"],
        status=_status(values["status"]),
        token=values["token"],
        max_attempts=values["max_attempts"],
        once_key=values["once_key"],
        metadata=_json(values["metadata"], dict, {}) if values["metadata"] != "{}" else {},
        progress=_progress(values["progress"]),
        history=history_of(values["history"]),
        result=values["result"],
        cancel_requested=bool(values["cancel_requested"]),
        worker=values["worker"],
        run_after=_moment(values["run_after"]),
        enqueued_at=_moment(values["enqueued_at"]),
        due_at=_moment(values["due_at"]),
        first_started_at=_moment(values["started_at"]),
        started_at=_moment(values["last_attempted_at"]),
        finished_at=_moment(values["finished_at"]),
    )


def history_of(text: str | None) -> tuple[Attempt, ...]:
    attempts = []
    for item in _json(text, list, []) if text else ():
        if isinstance(item, dict):
            attempts.append(
                Attempt(
                    worker=str(item.get("worker", "")),
                    started_at=_moment(item.get("started_at")),
                    finished_at=_moment(item.get("finished_at")),
                    exception=str(item.get("exception", "")),
                    traceback=str(item.get("traceback", "")),
                    lost=bool(item.get("lost")),
                )
            )
    return tuple(attempts)


def history_text(attempts: Sequence[Attempt]) -> str:
    return json.dumps(
        [
            {
                "worker": attempt.worker,
                "started_at": _micros(attempt.started_at),
                "finished_at": _micros(attempt.finished_at),
                "exception": attempt.exception,
                "traceback": attempt.traceback,
                "lost": attempt.lost,
            }
            for attempt in attempts
        ],
        separators=(",", ":"),
    )


def uuid_text(value: Any) -> str:
    """Return a database's UUID as the text that a task's id is."""
    text = str(value)
    # SQLite has no type for UUIDs: Django keeps 32 letters there.
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" if len(text) == 32 else text


def _status(text: str) -> TaskStatus:
    try:
        return TaskStatus(text)
    except ValueError:
        # Somebody wrote it by hand. A state that nothing acts on keeps the damage to this one row.
        return TaskStatus.FAILURE


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _progress(text: str | None) -> tuple[float, float] | None:
    pair = _json(text, list, []) if text else []
    return (pair[0], pair[1]) if len(pair) == 2 else None


def _json(text: str, kind: type, default: Any) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return default
    return value if isinstance(value, kind) else default


def is_uuid(text: str) -> bool:
    try:
        uuid.UUID(str(text))
    except ValueError:
        return False
    return True
