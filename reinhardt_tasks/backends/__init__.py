"""The doors that `TASKS` names."""

from .database import DatabaseBackend
from .dummy import DummyBackend
from .immediate import ImmediateBackend
from .redis import RedisBackend

__all__ = ["DatabaseBackend", "DummyBackend", "ImmediateBackend", "RedisBackend"]
