"""What systemd is told: readiness, stopping and signs of life, as datagrams to the socket that it names in NOTIFY_SOCKET."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Self

logger = logging.getLogger("reinhardt_tasks")


class Notifier:
    """Sends assignments (`READY=1`) to a service manager. Nothing that goes wrong with that is the worker's trouble."""

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        # systemd writes an abstract socket's name with @ where the kernel has a null byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        #: Seconds without `WATCHDOG=1` after which the manager ends us; None where it does not wait for that.
        self.watchdog = watchdog if address else None
        self._has_failed = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return a notifier for who started this process; without NOTIFY_SOCKET it sends nothing."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            if address:
                logger.warning("NOTIFY_SOCKET is %r, neither a path nor @ and a name: nothing is sent there.", address)
            return cls()
        return cls(address, _watchdog(environ))

    @property
    def is_on(self) -> bool:
        return bool(self._address)

    def tell(self, *assignments: str) -> None:
        """Send some assignments as one message; log the first one that cannot be sent."""
        if not self.is_on:
            return
        try:
            # A socket each time: a fork shares none, and there is nothing to close.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                # A manager that does not read must not stop the supervisor's only thread.
                sender.setblocking(False)
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError as exc:
            if not self._has_failed:
                logger.warning("The service manager could not be told %s: %s", assignments[0], exc)
            self._has_failed = True


def _watchdog(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        # It waits for another process: we are one that this has started.
        return None
    try:
        seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return None
    return seconds if seconds > 0 else None
