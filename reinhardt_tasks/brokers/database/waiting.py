"""How an idle worker sleeps: by the ear, until the next job is due, and with a look at the tables now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..base import BOTH
from .dialects import JOBS

if TYPE_CHECKING:
    from ..base import Kinds, Queues
    from .broker import DatabaseBroker
    from .ears import Ear

#: Where nobody tells anything, the first looks after something was there follow one another after so many seconds, later ones
#: after a part of the time for which nothing has been: what comes then waits for a part of the time that it took to come.
POLL_FIRST, POLL_PART = 0.04, 0.1
#: The least seconds between two looks of whoever waits for one kind alone.
GLANCE = 0.05


def wait(broker: DatabaseBroker, ear: Ear, queues: Queues, timeout: float, kinds: Kinds) -> bool:
    """See `Broker.wait`."""
    deadline = time.monotonic() + timeout
    while True:
        # The ear is set before the tables are looked at, so that nothing falls between the two.
        _listen(ear, 0)
        if ear.wakes_heard != broker.news.wakes:
            ear.wakes_heard = broker.news.wakes
            return True
        looked_at = time.monotonic()
        is_ready, due_in = look(broker, queues, kinds)
        now = time.monotonic()
        left = deadline - now
        if is_ready:
            broker.found_at = now
        if is_ready or left <= 0:
            return is_ready
        nap = min(left, _look_every(broker, ear, now), due_in if due_in is not None else left)
        if ear.settled_at > looked_at:
            # A look that took long has seen what was there when it began.
            nap = min(nap, ear.settled_at - now)
        if _listen(ear, max(0.0, nap)) and kinds != BOTH:
            # Whoever has room for one kind hears of all that becomes of the other.
            time.sleep(GLANCE)


def _listen(ear: Ear, seconds: float) -> bool:
    heard = ear.listen(seconds)
    if heard:
        # Beyond this wait, too: what comes next in the sender's silence is for the next one.
        ear.settled_at = time.monotonic() + ear.settle
    return heard


def _look_every(broker: DatabaseBroker, ear: Ear, now: float) -> float:
    """Return the seconds until the next look of whoever hears nothing."""
    if ear.is_told:
        return broker.poll_interval * broker.session.dialect.look_factor
    return min(broker.poll_interval, max(POLL_FIRST, (now - broker.found_at) * POLL_PART))


def look(broker: DatabaseBroker, queues: Queues, kinds: Kinds) -> tuple[bool, float | None]:
    """Return whether something of these kinds is ready, and in how many seconds the next waiting job of any is due (None: there
    is none)."""

    def work(cursor: Any) -> tuple[bool, float | None]:
        is_ready, due_in = _ask(broker, cursor, queues, kinds)
        if not is_ready and due_in is not None and due_in <= 0:
            broker.promote(cursor, now=True)
            is_ready, due_in = _ask(broker, cursor, queues, kinds)
        return is_ready, None if due_in is None else max(due_in, 0.001)

    answer = broker.session.run(work)
    return broker.session.run(work) if broker.attend() else answer


def _ask(broker: DatabaseBroker, cursor: Any, queues: Queues, kinds: Kinds) -> tuple[bool, float | None]:
    dialect = broker.session.dialect
    lanes = broker.lanes(cursor, queues)
    its_kind = "" if kinds == BOTH else f" AND is_async = {dialect.true if kinds[0] else dialect.false}"
    # The first in order, which only the index knows: for any, PostgreSQL may look through all of the table, as long as it believes
    # that there are many. And not MIN(wakes_at), for which it reads all that waits while it believes that nothing does.
    order = "ORDER BY is_async, precedence, due_at, id LIMIT 1"
    one = f"(SELECT 1 FROM {JOBS} WHERE lane = %s{its_kind} AND {dialect.is_open('%s')} {order}) IS NOT NULL"
    ready = " OR ".join([one] * len(lanes)) or "1 = 0"
    cursor.execute(
        f"SELECT CASE WHEN {ready} THEN 1 ELSE 0 END, "
        f"(SELECT wakes_at FROM {JOBS} WHERE wakes_at IS NOT NULL ORDER BY wakes_at LIMIT 1) - {dialect.now}",
        [value for lane in lanes for value in (lane, lane)],
    )
    is_ready, micros = cursor.fetchone()
    return bool(is_ready), None if micros is None else int(micros) / 1_000_000
