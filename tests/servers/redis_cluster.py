"""A Redis Cluster of three masters that share the slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import redis
import redis.cluster

from .redis import RedisServer
from .waiting import wait_until

SLOTS = 16384


class RedisCluster:
    """Three masters without replicas; a node that was silent for a second makes the whole cluster refuse commands.

    A killed node that is started again comes back with its slots, and with its keys if `appendonly` is on.
    """

    def __init__(self, *, appendonly: bool = False, program: Path | None = None) -> None:
        self.nodes = [RedisServer(cluster=True, appendonly=appendonly, program=program) for _ in range(3)]

    @property
    def url(self) -> str:
        """The first node's URL; a cluster client learns the rest from it."""
        return self.nodes[0].url

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(each.host, each.port) for each in self.nodes]

    def client(self, **options: Any) -> redis.cluster.RedisCluster:
        """Return a new cluster client; the caller closes it."""
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in self.addresses]
        return redis.cluster.RedisCluster(startup_nodes=nodes, **{"decode_responses": True, **options})

    def start(self) -> Self:
        """Return when all nodes know one another and serve all slots."""
        for node in self.nodes:
            node.start()
        first, *others = self.nodes
        for number, node in enumerate(self.nodes):
            # ADDSLOTSRANGE would be shorter, but Redis 6.2 lacks it.
            slots = range(number * SLOTS // 3, (number + 1) * SLOTS // 3)
            # Epochs of their own spare the nodes the quarrel about which of two equal ones is newer.
            _ask(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
            _ask(node, "CLUSTER ADDSLOTS", *slots)
        for node in others:
            _ask(first, "CLUSTER MEET", node.host, node.port)
        self.wait_until_whole()
        return self

    def wait_until_whole(self) -> None:
        """Return when every node sees three nodes and all slots served."""
        wait_until(lambda: all(map(_is_whole, self.nodes)), "the cluster is whole")

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _is_whole(node: RedisServer) -> bool:
    try:
        with node.client() as client:
            info = client.execute_command("CLUSTER INFO")
    except redis.ConnectionError:
        return False
    facts = (info["cluster_state"], info["cluster_known_nodes"], info["cluster_size"])
    return facts == ("ok", "3", "3")


def _ask(node: RedisServer, command: str, *arguments: str | int) -> Any:
    with node.client() as client:
        return client.execute_command(command, *arguments)
