"""The account a server runs under: PostgreSQL and MariaDB refuse to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Account:
    name: str
    uid: int
    gid: int

    def popen_options(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        """Tell whether every folder on the way, and the path itself, is open to all users."""
        resolved = path.resolve()
        return all(each.stat().st_mode & stat.S_IXOTH for each in (resolved, *resolved.parents))


def unprivileged(*names: str) -> Account | None:
    """Return the first of these accounts, else `nobody`; None when we are not root and need no other."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise RuntimeError(f"Running as root, and none of the accounts {', '.join(names)}, nobody exists.")
