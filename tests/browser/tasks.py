"""Tasks for people to look at: one that fails until a door is open, one that goes on until it is told to stop."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from reinhardt_tasks import task


@task(queue_name="parcels")
def deliver(parcel: str) -> str:
    if not Path(os.environ["BROWSER_DOOR"]).exists():
        raise LookupError(f"Nobody opens the door for {parcel}.")
    return f"{parcel} was delivered"


@task(takes_context=True)
def wander(context: Any, name: str) -> None:
    for step in range(1_000_000):
        context.progress(step % 100, 100)
        time.sleep(0.05)


@task
def pack(name: str) -> str:
    return name
