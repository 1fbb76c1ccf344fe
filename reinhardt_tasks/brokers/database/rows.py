"""Jobs as rows: which columns there are, and how a row becomes a Job. A damaged column spoils only itself."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ...gates import Limit, Until, decode_limits, encode_limits
from ...jobs import Job, TaskStatus, dashed
from ...serialization import decode_history, decode_or, decode_progress
from ...timestamps import from_micros, to_micros

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
    "once_until",
    "limits",
    "is_async",
)
#: With what is read of a single job only: it is long, and neither a claim nor a list has a use for it.
WHOLE = (*COLUMNS, "log")

#: Stands before the limits of a job that has a rate among them: such a job knocks when it is claimed.
RATED = "r"


#: The moments that a row can have: the years 1900 to 9000.
_FIRST, _LAST = (to_micros(datetime(year, 1, 1, tzinfo=UTC)) for year in (1900, 9000))


def job_of(row: Sequence[Any]) -> Job:
    """Return the job that a row of COLUMNS, or of WHOLE, holds."""
    values = dict(zip(WHOLE, row, strict=False))
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
        once_until=_until(values["once_until"]),
        limits=limits_of(values["limits"]),
        is_async=bool(values["is_async"]),
        metadata=decode_or(values["metadata"], dict, {}),
        progress=decode_progress(values["progress"]),
        history=decode_history(values["history"]),
        result=values["result"],
        log=values.get("log"),
        cancel_requested=bool(values["cancel_requested"]),
        worker=values["worker"],
        run_after=_moment(values["run_after"]),
        enqueued_at=_moment(values["enqueued_at"]),
        due_at=_moment(values["due_at"]),
        first_started_at=_moment(values["started_at"]),
        started_at=_moment(values["last_attempted_at"]),
        finished_at=_moment(values["finished_at"]),
    )


def limits_text(limits: Sequence[Limit]) -> str | None:
    """Return a job's limits as its row has them."""
    text = encode_limits(limits)
    return f"{RATED}{text}" if text and any(limit.every for limit in limits) else text


def limits_of(text: str | None) -> tuple[Limit, ...]:
    """Return what `limits_text` wrote."""
    return decode_limits(text.removeprefix(RATED) if text else None)


def _until(text: str | None) -> Until | None:
    return Until(text) if text in list(Until) else None


def uuid_text(value: Any) -> str:
    """Return a database's UUID as the text that a task's id is."""
    text = str(value)
    # SQLite has no type for UUIDs: Django keeps 32 letters there.
    return dashed(text) if len(text) == 32 else text


def _status(text: str) -> TaskStatus:
    try:
        return TaskStatus(text)
    except ValueError:
        # Somebody wrote it by hand. A state that nothing acts on keeps the damage to this one row.
        return TaskStatus.FAILURE


def _moment(micros: int | None) -> datetime | None:
    # Beyond all years, which only a hand can have written: the nearest that Python and its time zones can show.
    return None if micros is None else from_micros(min(max(micros, _FIRST), _LAST))


def is_uuid(text: str) -> bool:
    try:
        uuid.UUID(str(text))
    except ValueError:
        return False
    return True
