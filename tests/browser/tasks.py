"""Tasks for people to look at: one that fails until a door is open, one that goes on until it is told to stop."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

from reinhardt_tasks import task

logger = logging.getLogger(__name__)


@task(queue_name="parcels")
def deliver(parcel: str) -> str:
    logger.info(
        "Leaving with %s for a house whose address is long enough to need a second line on a narrow screen", parcel
    )
    logger.warning("No light behind the window")
    logger.error("Rang %d times", 3)
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
