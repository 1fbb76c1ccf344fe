"""A Redis (or Valkey) server of the tests' own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from .ports import BUS_OFFSET
from .process import ServerProcess
from .programs import Found, find_redis


class RedisServer(ServerProcess):
    """Redis on loopback. With `appendonly` an answered write survives `kill`; without it, every restart starts empty.

    Any option means a server of our own, since one that the environment names is taken as it is. `config` holds further
    lines of redis.conf; `program` chooses one of several servers on the machine.
    """

    kind = "Redis"

    def __init__(
        self,
        *,
        own: bool = False,
        appendonly: bool = False,
        maxmemory: str = "",
        password: str = "",
        config: Iterable[str] = (),
        program: Path | None = None,
        cluster: bool = False,
    ) -> None:
        config = list(config)
        own = own or appendonly or cluster or bool(maxmemory or password or config)
        found = Found(source=str(program), program=program) if program else find_redis(own=own)
        super().__init__(found, with_bus_port=cluster)
        self.password = password
        self._config = [*_durability(appendonly), *_cluster(cluster), *config]
        if maxmemory:
            self._config.append(f"maxmemory {maxmemory}")
        if password:
            self._config += [f"requirepass {password}", f"masterauth {password}"]

    @property
    def url(self) -> str:
        """The URL of database 0."""
        if self.found.url is not None:
            return self.found.url
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{self.host}:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """Return a new client; the caller closes it."""
        return redis.Redis.from_url(self.url, **{"decode_responses": True, **options})

    def prepare(self) -> None:
        lines = [f"port {self.port}", f"bind {self.host}", f"dir {self.folder}", "repl-diskless-sync-delay 0"]
        self.config_file.write_text("\n".join([*lines, *self._config]) + "\n")

    @property
    def config_file(self) -> Path:
        return self.folder / "redis.conf"

    def command(self) -> list[str]:
        return [str(self.found.program), str(self.config_file)]

    def answers(self) -> bool:
        with self.client(socket_timeout=1, socket_connect_timeout=1) as client:
            try:
                return bool(client.ping())
            except redis.exceptions.MasterDownError:
                # A replica that waits for its master: it is there, and says so.
                return True
            except (redis.ConnectionError, redis.TimeoutError):
                return False


def _durability(appendonly: bool) -> list[str]:
    return ["appendonly yes", "appendfsync always", 'save ""'] if appendonly else ["appendonly no", 'save ""']


def _cluster(cluster: bool) -> list[str]:
    # The bus port is the default one; it is reserved together with the port itself.
    assert BUS_OFFSET == 10000
    return ["cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 1000"] if cluster else []
