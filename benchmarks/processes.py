"""What a worker's processes have cost, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path

from tests.servers.descendants import descendants


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and all below it, the ended ones included where their parent waited."""
    return sum(_ticks(each) for each in (pid, *descendants(pid))) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        content = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    # utime, stime, cutime, cstime; the name before them may hold spaces.
    return sum(int(value) for value in content.rpartition(")")[2].split()[11:15])
