"""What `dequeue` gave to callers in this process: each claim under a lease of its own, which no other call renews.

To a store each is a worker of its own. A caller that forgets its claim leaves it to be rescued, whatever others do.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from ..brokers.base import Broker, Queues, WorkerInfo
from ..exceptions import QueueError
from ..jobs import Claim

logger = logging.getLogger("reinhardt_tasks")

#: Claims in memory beyond which the oldest are forgotten whose lease has ended: nobody may ever tell what became of them.
KEPT = 1000


@dataclass(frozen=True, slots=True)
class Held:
    """A claim that a caller has, by which of this process's workers, and until when nobody else may have it."""

    claim: Claim
    number: int
    ends_at: float


_lock = threading.Lock()
_numbers = itertools.count(1)
_held: dict[tuple[str, str], Held] = {}
#: Numbers of workers that hold nothing, by alias. Numbers, not ids: a fork makes others of them.
_idle: dict[str, list[int]] = defaultdict(list)


def dequeue(alias: str, broker: Broker, queues: Queues, lease: float) -> Claim | None:
    """Claim the next job and keep the claim here; return None where nothing is due."""
    with _lock:
        is_new = not _idle[alias]
        number = next(_numbers) if is_new else _idle[alias].pop()
    worker = _worker(number, lease)
    # Where this raises, the number is not used again: its answer may be what was lost, and then it holds a job.
    claims = broker.claim(queues, 1, worker)
    if not claims:
        _rest(alias, number)
        return None
    if not is_new:
        try:
            # On a database a claim renews the lease of a known worker only where much of that is over.
            broker.heartbeat(worker)
        except QueueError as exc:
            logger.warning("Task id=%s may be taken over early: %s", claims[0].job.id, exc)
    keep(alias, Held(claims[0], number, time.monotonic() + lease))
    return claims[0]


def take(alias: str, id_: str) -> Held | None:
    """Return the claim that this process has of a job, which is then the caller's to `keep` or to `let_go`."""
    with _lock:
        return _held.pop((alias, id_), None)


def keep(alias: str, held: Held) -> None:
    """Keep a claim until somebody takes it, unless there is a newer one of the same job."""
    key = (alias, held.claim.job.id)
    with _lock:
        known = _held.pop(key, held)
        _held[key] = max(known, held, key=lambda each: each.claim.token)
        while len(_held) > KEPT:
            oldest = next(iter(_held))
            if _held[oldest].ends_at > time.monotonic():
                break
            del _held[oldest]


def let_go(alias: str, held: Held) -> None:
    """Say that the store does not have this claim any more."""
    _rest(alias, held.number)


def _rest(alias: str, number: int) -> None:
    with _lock:
        _idle[alias].append(number)


def _worker(number: int, lease: float) -> WorkerInfo:
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(id=f"dequeue@{host[:80]}:{pid}:{number}", name="dequeue", host=host, pid=pid, lease=lease)
