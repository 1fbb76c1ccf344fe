"""The stores, for all tests of this folder."""

from __future__ import annotations

from .stores import database_store, redis_store, store

__all__ = ["database_store", "redis_store", "store"]
