"""Since when no worker that met a job has known its name: kept in its metadata, where people see it and tasks do not.

It counts from the first meeting. What a job went through before, a backlog or a retry by hand, is not its name's fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .jobs import Job

KEY = "reinhardt_tasks.unknown_since"


def since(job: Job) -> datetime | None:
    """Return when the job was first met by a worker that did not know it; None where that was in a life before this one."""
    try:
        moment = datetime.fromisoformat(job.metadata[KEY])
    except (KeyError, TypeError, ValueError):
        return None
    # It was enqueued anew, or has been run or given up since: by people, or by a worker that knew it.
    ends = [job.enqueued_at, *(attempt.finished_at for attempt in job.history[-1:])]
    if moment.tzinfo is None or any(end is not None and moment < end for end in ends):
        return None
    return moment


def with_mark(metadata: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """Return a job's metadata for one that was first met at that moment."""
    return {**metadata, KEY: moment.isoformat()}


def without_mark(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a job's metadata is its caller's and its task's."""
    return {key: value for key, value in metadata.items() if key != KEY}
