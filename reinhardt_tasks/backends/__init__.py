"""The doors that `TASKS` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import ReinhardtBackend as TaskBackend
from .database import DatabaseBackend
from .dummy import DummyBackend
from .immediate import ImmediateBackend

if TYPE_CHECKING:
    from .redis import RedisBackend

__all__ = ["DatabaseBackend", "DummyBackend", "ImmediateBackend", "RedisBackend", "TaskBackend"]


def __getattr__(name: str) -> Any:
    # redis-py is a fifth of an idle worker's memory: who keeps tasks in a database goes without.
    if name == "RedisBackend":
        from .redis import RedisBackend

        return RedisBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
