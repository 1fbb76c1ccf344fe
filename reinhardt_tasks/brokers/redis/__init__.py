"""The broker that keeps its jobs in Redis or Valkey."""

from .broker import RedisBroker
from .connections import Connections, Target, redis_url
from .results import RedisResultBackend
from .shards import ShardedBroker

__all__ = ["Connections", "RedisBroker", "RedisResultBackend", "ShardedBroker", "Target", "redis_url"]
