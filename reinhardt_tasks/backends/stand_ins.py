"""A broker in the place of a backend's own, while a test lasts: `testing` puts it there; production has none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..brokers.base import Broker

if TYPE_CHECKING:
    from .base import ReinhardtBackend


class StandIn(Broker):
    """A broker that takes what a backend enqueues, and knows of transactions by itself."""

    @abstractmethod
    def why_waiting_is_hopeless(self) -> str | None:
        """Return why nobody runs what waits here, or None where nothing waits."""


#: For whichever backend asks, its stand-in. The last one counts.
_makers: list[Callable[[ReinhardtBackend], StandIn]] = []


def stand_in_of(backend: ReinhardtBackend) -> StandIn | None:
    """Return what stands in for the backend's own broker, or None: then it has its own."""
    return _makers[-1](backend) if _makers else None


@contextmanager
def stand_ins(maker: Callable[[ReinhardtBackend], StandIn]) -> Iterator[None]:
    """Give every backend of this process, in whatever thread, the broker that `maker` returns for it, while this lasts."""
    _makers.append(maker)
    try:
        yield
    finally:
        _makers.remove(maker)
