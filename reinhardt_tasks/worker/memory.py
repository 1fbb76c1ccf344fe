"""How much memory this process has."""

from __future__ import annotations

import os
import sys

_STATM = "/proc/self/statm"


def is_beyond(limit: int | None) -> bool:
    """Return whether this process has more than `limit` bytes."""
    return limit is not None and resident_bytes() > limit


def resident_bytes() -> int:
    """Return the resident set size in bytes; where the system does not tell, the largest that it has been, or else 0."""
    try:
        with open(_STATM) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        try:
            import resource
        except ModuleNotFoundError:
            return 0
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024
