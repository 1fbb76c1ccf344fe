"""Sleeping until something may be ready: a bell that whoever puts something there rings, on a connection that can be cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import redis

from ...exceptions import QueueError
from ..base import Kinds, Queues
from ..wakes import Wakes
from . import faults

if TYPE_CHECKING:
    from .broker import RedisBroker

#: Seconds after which a sleeper looks by itself: a token may have been lost with a server that was failed over.
NAP = 5.0
#: Where a job of each kind rings: who sleeps for one kind takes no token away from those who sleep for the other.
_BELLS = {False: "bell", True: "chime"}


class Sleepers:
    """Who waits for a broker in this process."""

    # It does not keep the broker, which keeps it: a broker that is dropped gives its connections back at once.

    def __init__(self) -> None:
        self._wakes = Wakes()
        self._lock = threading.Lock()
        #: Thread → the connection that it sleeps on.
        self.connections: dict[int, Any] = {}

    def wait(self, broker: RedisBroker, queues: Queues, timeout: float, kinds: Kinds) -> bool:
        """See the contract."""
        deadline = time.monotonic() + timeout
        with self._wakes.sleeping() as is_woken:
            while not is_woken():
                looked_for = "both" if len(kinds) > 1 else _BELLS[kinds[0]]
                is_ready, micros = broker.ask("look", [looked_for, *(queues or ())])
                left = deadline - time.monotonic()
                if is_ready or left <= 0:
                    return bool(is_ready)
                try:
                    nap = min(left, NAP, int(micros) / 1_000_000 if micros else NAP)
                    if self._sleep(broker, queues, kinds, nap, is_woken):
                        # Whoever rang put something there. A look would say so, one round trip later.
                        return True
                except QueueError:
                    # Whoever wakes us cuts the connection.
                    if not is_woken():
                        raise
            return True

    def rouse(self, *, owes: bool = False) -> None:
        """End the waits that are going on; see `Broker.wake`, which ends the next one where there are none."""
        if not self._wakes.call(owes=owes):
            return
        with self._lock:
            sleepers = list(self.connections.values())
        for connection in sleepers:
            # The sleeper's read ends at once; its connection is made anew for the next sleep.
            with suppress(Exception):
                connection._sock.shutdown(2)

    def _sleep(
        self, broker: RedisBroker, queues: Queues, kinds: Kinds, nap: float, is_woken: Callable[[], bool]
    ) -> bool:
        """Sleep until a bell rings, `wake()` is called, or `nap` seconds are over; return whether a bell rang."""
        names = queues if queues is not None else ["*"]
        bells = [f"{broker.base}{_BELLS[kind]}:{name}" for kind in kinds for name in names]
        return bool(faults.guarded(broker, lambda: self._blpop(broker, bells, max(nap, 0.002), is_woken)))

    def _blpop(self, broker: RedisBroker, bells: list[str], nap: float, is_woken: Callable[[], bool]) -> Any:
        """BLPOP on a connection that `wake` can end. Redis 6.2 takes 1 ms for 0, which is for ever."""
        client = broker.connections.sleeper
        if broker.connections.target.cluster:
            client = client.get_redis_connection(client.get_node_from_key(bells[0]))
        pool = client.connection_pool
        connection = pool.get_connection()
        ident = threading.get_ident()
        try:
            with self._lock:
                self.connections[ident] = connection
            if is_woken():
                # It was called before there was a connection to cut.
                return None
            connection.send_command("BLPOP", *bells, f"{nap:.3f}")
            # A server that hangs must not hold us for ever.
            if not connection.can_read(timeout=nap + 5.0):
                connection.disconnect()
                raise redis.TimeoutError(f"no answer {5.0:g} s after the end of a sleep")
            return connection.read_response()
        except BaseException:
            connection.disconnect()
            raise
        finally:
            with self._lock:
                self.connections.pop(ident, None)
            pool.release(connection)
