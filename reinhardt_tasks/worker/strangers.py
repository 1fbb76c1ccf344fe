"""Jobs that the store says a worker holds, and it knows nothing of: the answer to its claim was lost on the way."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ..brokers.base import Broker, WorkerInfo
from ..jobs import Claim, Released

logger = logging.getLogger("reinhardt_tasks")


class Strangers:
    """Gives them back: as the worker lives, nobody would rescue them."""

    def __init__(self, broker: Broker, worker: WorkerInfo) -> None:
        self._broker = broker
        self._worker = worker
        self._known: Mapping[str, int] = {}
        self._condemned: set[str] = set()

    def leave(self, condemned: str) -> None:
        """Never give back a task that does not stop: it runs here, though the worker holds it no more.

        Its supervisor settles it; or, where it could not, whoever rescues what this process leaves behind.
        """
        self._condemned.add(condemned)

    def seen(self, unknown: Mapping[str, int], *, may_be_late: bool) -> None:
        """Note what a heartbeat brought (job id → token) and is not known here; release what was there at the last one too.

        While a claim is under way, an answer `may_be_late` and not lost.
        """
        unknown = {id_: token for id_, token in unknown.items() if id_ not in self._condemned}
        seen_twice = [id_ for id_, token in unknown.items() if self._known.get(id_) == token]
        self._known = unknown
        if not seen_twice or may_be_late:
            return
        jobs = self._broker.get(seen_twice)
        claims = [Claim(job=job, token=unknown[id_], worker=self._worker.id) for id_, job in jobs.items()]
        logger.warning("%d tasks are given back: they were claimed here, but the answer was lost.", len(claims))
        self._broker.settle([Released(claim=claim) for claim in claims])
