"""How much memory this process has."""

from __future__ import annotations

import os
import sys

_STATM = "/proc/self/statm"


def resident_bytes() -> int:
    """Return the resident set size in bytes; where the system does not tell, the largest that it has been."""
    try:
        with open(_STATM) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource  # where there is neither this nor /proc, there is no supervisor that asks

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024
