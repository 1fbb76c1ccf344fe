"""A step's ids follow from its workflow's: whoever sends a step, and however often, it is the same job."""

from __future__ import annotations

import hashlib
from uuid import UUID

from ..models import StepRow

#: So many bits hold the positions of 10,000 steps that are all run for each item of something (`positions.py`). The rest of
#: the id's last part tells workflows of one moment, and rounds, apart.
_POSITION_BITS, _REST_BITS = 27, 35


def job_id(workflow: str | UUID, position: int, round_: int = 0) -> str:
    """Return the id of the job of a step's so-manieth round: a UUIDv7 of the workflow's moment, in the order of positions."""
    text = str(workflow)
    digest = hashlib.blake2b(f"{text}:{position}:{round_}".encode(), digest_size=8).digest()
    rest = int.from_bytes(digest) & ((1 << _REST_BITS) - 1)
    last = f"{0b10 << 62 | position << _REST_BITS | rest:016x}"
    # Version 7 whatever the workflow's own id is: somebody may have chosen that.
    return f"{text[:14]}7{text[15:19]}{last[:4]}-{last[4:]}"


def job_id_of(row: StepRow) -> str:
    """Return the id of the job of a step's present round."""
    return job_id(row.workflow_id, row.position, row.round)


def step_id(workflow: str | UUID, position: int) -> UUID:
    """Return the id of a step's row."""
    return UUID(job_id(workflow, position))
