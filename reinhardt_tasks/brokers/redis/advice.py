"""What a Redis is set up for, where that does not suit a queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...speech import gettext as _
from ..base import Advice

#: The oldest version with the commands that the scripts use.
OLDEST = (6, 2)


def advice_on(info: Mapping[str, Any], place: str) -> list[Advice]:
    """Return what INFO says that somebody should know."""
    found = []
    version = str(info.get("redis_version", ""))
    if _numbers(version) < OLDEST:
        found.append(
            Advice(
                "E024",
                _("{place} is version {version}, which is too old to keep tasks.").format(place=place, version=version),
                _("Use Redis 6.2 or later."),
            )
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and int(info.get("maxmemory", 0)):
        found.append(
            Advice(
                "W005",
                _(
                    "{place} throws keys away when its memory is full (maxmemory-policy {policy}): tasks too, silently."
                ).format(place=place, policy=policy),
                _("Set maxmemory-policy noeviction, or give the tasks a server of their own."),
            )
        )
    if not int(info.get("aof_enabled", 0)):
        found.append(
            Advice(
                "W006",
                _("{place} writes no append-only file: when it dies, the tasks of the last minutes are lost.").format(
                    place=place
                ),
                _("Set appendonly yes (and appendfsync always, where not even the last second may be lost)."),
            )
        )
    if info.get("role") == "slave":
        found.append(
            Advice(
                "E025",
                _("{place} is a replica, which takes no tasks.").format(place=place),
                _("Name its master, or the Sentinels that know it."),
            )
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
