"""How much memory processes have."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from ..brokers.base import WorkerInfo

#: Processes of a tree that are looked at, at most: this is done once a second.
MOST = 100


def is_beyond(limit: int | None) -> bool:
    """Return whether this process has more than `limit` bytes."""
    return limit is not None and resident_bytes() > limit


def resident_bytes() -> int:
    """Return the resident set size in bytes; where the system does not tell, the largest that it has been, or else 0."""
    try:
        return _resident("self")
    except OSError:
        try:
            import resource
        except ModuleNotFoundError:
            return 0
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024


def tree_bytes(pid: int) -> int | None:
    """Return the resident set size in bytes of a process and of all below it; None where the system does not tell.

    What several of them share is counted for each.
    """
    total, looked_at, waiting = 0, 0, [pid]
    while waiting and looked_at < MOST:
        one = waiting.pop(0)
        looked_at += 1
        try:
            total += _resident(one)
            waiting += _children(one)
        except OSError:
            # It has ended meanwhile, or there is no /proc.
            if one == pid:
                return None
    return total


def weighed(worker: WorkerInfo) -> WorkerInfo:
    """Return a worker of this machine as it signs in now: with the memory of its process and of those that this has started."""
    return replace(worker, memory=tree_bytes(worker.pid))


def _resident(process: int | str) -> int:
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> Iterator[int]:
    for thread in os.listdir(f"/proc/{pid}/task"):
        # A thread may end meanwhile; and not every kernel tells of children.
        with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
            yield from map(int, file.read().split())
