"""Ports on loopback that stay ours while a server is down."""

from __future__ import annotations

import random
import socket
import sys

HOST = "127.0.0.1"

# Below the range from which the kernel takes ports for outgoing connections: a client that keeps calling a dead
# server on a port of that range may be given the same port for its own end, connect to itself, and keep the server out.
# Redis Cluster's bus listens 10000 higher, which is below that range too.
PORTS = range(12000, 22000)
BUS_OFFSET = 10000


class ReservedPort:
    """A free port that no other test session gets until `release`, though our server may listen on it."""

    def __init__(self, *, with_bus: bool = False) -> None:
        offsets = (0, BUS_OFFSET) if with_bus else (0,)
        for number in random.sample(PORTS, 500):
            sockets = _reserve([number + offset for offset in offsets])
            if sockets:
                self.number, self._sockets = number, sockets
                return
        raise RuntimeError(f"No free port on {HOST} between {PORTS.start} and {PORTS.stop}.")

    def release(self) -> None:
        for each in self._sockets:
            each.close()


def _reserve(numbers: list[int]) -> list[socket.socket]:
    sockets = []
    for number in numbers:
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sockets.append(holder)
        try:
            holder.bind((HOST, number))
        except OSError:
            for each in sockets:
                each.close()
            return []
        if sys.platform == "linux":
            # Bound without the option, so that two sessions cannot both hold the port; set now, so that a server,
            # which always sets it, may listen beside a socket that does not listen.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            holder.close()
    return sockets
