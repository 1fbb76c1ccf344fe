"""The processes below a server's first one: PostgreSQL has one for each connection, in a session of its own."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Return the children of `pid` and theirs, parents first; none where there is no /proc."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            content = stat.read_text(errors="replace")
        except OSError:
            continue
        # The name in the middle may hold spaces and brackets; what follows the last one is "state parent ...".
        parent = int(content.rpartition(")")[2].split()[1])
        children[parent].append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found.extend(children[each])
    return found[1:]
