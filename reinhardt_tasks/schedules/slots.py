"""A slot is one due time of one schedule. What follows from these two alone, so that whoever asks gets the same answer."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from ..jobs import dashed
from ..timestamps import to_micros

#: What travels with a task that a schedule has sent, and is given to it as `context.scheduled_for`.
SCHEDULED_FOR, SCHEDULE = "scheduled_for", "schedule"


def slot_id(schedule: str, slot: datetime) -> str:
    """Return the id of a slot's task: a UUIDv7 of the slot's time, whose other bits are a digest of both."""
    micros = to_micros(slot)
    digest = int.from_bytes(hashlib.sha256(f"{schedule}\n{micros}".encode()).digest()[:10])
    return dashed(
        f"{micros // 1000 & 0xFFFFFFFFFFFF:012x}7{digest >> 64 & 0xFFF:03x}{digest & 0x3FFFFFFFFFFFFFFF | 1 << 63:016x}"
    )


def slot_key(schedule: str, slot: datetime) -> str:
    """Return the `once_key` of a slot's task."""
    return f"schedule:{schedule}:{slot.astimezone(UTC).isoformat()}"


def due_at(schedule: str, slot: datetime, jitter: timedelta) -> datetime:
    """Return when a slot is to be fired: up to `jitter` after its time, always the same for one slot."""
    if not jitter:
        return slot
    digest = hashlib.sha256(f"jitter\n{schedule}\n{to_micros(slot)}".encode()).digest()
    micros = jitter // timedelta(microseconds=1)
    return slot + timedelta(microseconds=micros * int.from_bytes(digest[:6]) >> 48)


def slot_headers(schedule: str, slot: datetime) -> dict[str, Any]:
    return {SCHEDULED_FOR: slot.astimezone(UTC).isoformat(), SCHEDULE: schedule}


def scheduled_for(headers: dict[str, Any]) -> datetime | None:
    """Return the slot that a call's headers tell of, in UTC; None where no schedule has sent it."""
    text = headers.get(SCHEDULED_FOR)
    try:
        return None if text is None else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
