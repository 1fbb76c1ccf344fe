"""Private real servers for the tests: own port, own folder, own process, gone at the end.

    with RedisServer(appendonly=True, own=True) as server:
        server.client().set("key", "value")
        server.kill()
        server.start()

A server is taken from the environment, else from a program on the machine, else from a wheel; see `programs`.
A test that kills, pauses or restarts its server asks for `own=True`, so that it never meets a server that others use.
"""

from __future__ import annotations

from .mariadb import MariaDBServer
from .postgres import PostgresServer
from .process import ServerFailed, ServerNotOurs, ServerProcess
from .programs import Found, ServerMissing, find_mariadb, find_postgres, find_redis
from .redis import RedisServer
from .redis_cluster import RedisCluster
from .redis_sentinel import SentinelTrio
from .waiting import wait_until

__all__ = [
    "Found",
    "MariaDBServer",
    "PostgresServer",
    "RedisCluster",
    "RedisServer",
    "SentinelTrio",
    "ServerFailed",
    "ServerMissing",
    "ServerNotOurs",
    "ServerProcess",
    "find_mariadb",
    "find_postgres",
    "find_redis",
    "wait_until",
]
