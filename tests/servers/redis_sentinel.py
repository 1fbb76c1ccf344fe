"""A Redis master with a replica, and three sentinels that make the replica master when the master is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import redis

from .redis import RedisServer
from .waiting import wait_until


class SentinelServer(RedisServer):
    """One sentinel; it writes what it learns into its own configuration file."""

    kind = "Redis Sentinel"

    def __init__(self, *, service: str, master: RedisServer) -> None:
        monitored = [
            f"sentinel monitor {service} {master.host} {master.port} 2",
            f"sentinel down-after-milliseconds {service} 500",
            f"sentinel failover-timeout {service} 3000",
            f"sentinel parallel-syncs {service} 1",
        ]
        super().__init__(own=True, program=master.found.program)
        self.service = service
        self._monitored = monitored

    def prepare(self) -> None:
        lines = [f"port {self.port}", f"bind {self.host}", f"dir {self.folder}", *self._monitored]
        self.config_file.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [*super().command(), "--sentinel"]

    def master_address(self) -> tuple[str, int]:
        host, port = self._ask("SENTINEL GET-MASTER-ADDR-BY-NAME")
        return host, int(port)

    def sees_all(self) -> bool:
        """Tell whether this sentinel knows the other two and a replica that may follow the master."""
        replicas = [_pairs(each) for each in self._ask("SENTINEL REPLICAS")]
        healthy = [each for each in replicas if each["flags"] == "slave" and each["master-link-status"] == "ok"]
        return len(self._ask("SENTINEL SENTINELS")) == 2 and bool(healthy)

    def _ask(self, command: str) -> Any:
        with self.client() as client:
            return client.execute_command(command, self.service)


class SentinelTrio:
    """Master, replica and three sentinels (quorum 2, 500 ms of silence is death, failover within 3 s).

    On a machine that stalls for half a second sentinels may fail over by themselves; ask `master()` when it matters.
    """

    def __init__(self, *, service: str = "mymaster", appendonly: bool = False, program: Path | None = None) -> None:
        self.service = service
        first = RedisServer(own=True, appendonly=appendonly, program=program)
        follow = [f"replicaof {first.host} {first.port}"]
        self.servers = [first, RedisServer(own=True, appendonly=appendonly, program=program, config=follow)]
        self.sentinels = [SentinelServer(service=service, master=first) for _ in range(3)]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The sentinels' addresses, as redis.sentinel.Sentinel takes them."""
        return [(each.host, each.port) for each in self.sentinels]

    def start(self) -> Self:
        """Return when the replica follows, and every sentinel sees it and the other sentinels."""
        for server in self.servers:
            server.start()
        # Before the sentinels: they ask a master for its replicas at once, and then only every ten seconds.
        wait_until(lambda: _role(self.servers[1])[3:4] == ["connected"], "the replica follows the master")
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until(lambda: all(each.sees_all() for each in self.sentinels), "the sentinels know one another")
        return self

    def master(self) -> RedisServer:
        """Return the server that most sentinels name as master."""
        named = [each.master_address() for each in self.sentinels if each.is_running]
        host, port = max(named, key=named.count)
        return next(each for each in self.servers if (each.host, each.port) == (host, port))

    def kill_master(self) -> RedisServer:
        """Kill the master and return it; its `start` brings it back, and the sentinels make it a replica."""
        master = self.master()
        master.kill()
        return master

    def wait_for_failover(self) -> RedisServer:
        """Return the new master once every sentinel names it and it is one."""
        return wait_until(self._new_master, "the sentinels agree on a new master", interval=0.05)

    def close(self) -> None:
        # Sentinels first, or they would take the end for a failure.
        for server in [*self.sentinels, *self.servers]:
            server.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _new_master(self) -> RedisServer | None:
        named = {each.master_address() for each in self.sentinels if each.is_running}
        master = self.master()
        agreed = len(named) == 1 and master.is_running
        return master if agreed and _role(master)[:1] == ["master"] else None


def _role(server: RedisServer) -> list[Any]:
    with server.client() as client:
        try:
            return list(client.execute_command("ROLE"))
        except redis.ConnectionError:
            return []


def _pairs(flat: Any) -> dict[str, str]:
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
