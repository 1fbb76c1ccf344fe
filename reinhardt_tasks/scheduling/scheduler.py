"""The loop that fires schedules: it sleeps until the next slot, and looks once a second whether an earlier one has come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from .._compat import CoreTask, InvalidTaskBackend, task_backends
from ..brokers.database.outbox import job_from_text
from ..brokers.database.session import Session
from ..exceptions import QueueError, TaskNotFound
from ..jobs import as_enqueued
from ..models import ScheduleRow, SlotRow
from ..options import Problem
from ..receivers import announce
from ..registry import task_of
from ..results import fill_result, result_of
from ..retries import pause_after
from ..schedules import Declaration, ScheduleRegistry, declaration_of, declared
from ..schedules.declarations import PEOPLE
from .collecting import collect
from .databases import clock_of, schedules_database, schedules_version
from .firing import BATCH, REST, Batch, Firing, due_rows, fire_due, give_up
from .overlaps import release
from .people import list_schedules
from .planning import LATE, slots_of
from .sending import Sender
from .synchronising import synchronise

logger = logging.getLogger("reinhardt_tasks")

#: What is logged of each task.
FIRED = "Schedule %s fired for %s: id=%s"
#: Seconds between two looks at what people have changed.
LOOK_EVERY = 1.0
#: A slot may be seen so much late, as when a scheduler that had locked its row has died, and still count as on time.
SLACK = timedelta(seconds=2)
#: Slots are kept for so long, and cleared away so often.
KEEP, PRUNE_EVERY = timedelta(days=7), timedelta(minutes=1)
#: In seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 10.0
#: Failures in a row after which schedules are tried one by one: one of them may be the fault.
SUSPICIOUS = 3


@dataclass(kw_only=True)
class Turn:
    """What one turn of the loop did."""

    fired: list[Firing] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


class Scheduler:
    """Fires schedules until told to stop. Run as many as you like, anywhere: a slot is fired once.

    `add_task(task, schedule)`, `run()`, `shutdown()`; or `run_once()` for a process that comes by now and then. `database`
    names the database that keeps the schedules; `on_fired` is told of each task, for people to see.
    """

    def __init__(
        self,
        database: str | None = None,
        *,
        max_catchup: int = 100,
        clock: Callable[[], datetime] | None = None,
        registry: ScheduleRegistry | None = None,
        on_fired: Callable[[Firing], None] | None = None,
    ) -> None:
        self.session = Session(database or schedules_database())
        self.max_catchup = max_catchup
        #: Turns so far.
        self.turns = 0
        self._clock = clock or clock_of(self.session)
        self._registry = declared if registry is None else registry
        self._on_fired = on_fired or (lambda firing: None)
        self._sender = Sender(self.session)
        self._stopping = threading.Event()
        self._is_synchronised = False
        #: When the last turn began, which looked at everything, and when the database last answered.
        self._ran_at: datetime | None = None
        self._alive_at: datetime | None = None
        self._pruned_at: datetime | None = None
        self._left: dict[int, datetime] = {}
        self._failures = 0

    def add_task(self, task: CoreTask, schedule: Any, name: str | None = None, **options: Any) -> Declaration:
        """Have `task` run by `schedule`, as `@scheduled` does; before `run()`. Raise InvalidSchedule where that cannot be."""
        declaration = declaration_of(task, schedule, name, **options)
        self._registry.register(declaration)
        self._is_synchronised = False
        return declaration

    def run(self) -> None:
        """Fire what is due until `shutdown()`, which may come from another thread or a signal."""
        while not self._stopping.is_set():
            try:
                self.turn()
                pause = self.seconds_to_next()
                self._recovered()
            except Exception as exc:
                pause = self._failed(exc)
            # What somebody else has in hand is still due: not a reason to ask for it without a pause.
            self._stopping.wait(max(pause, SHORTEST_PAUSE))
        self.session.close()

    def run_once(self) -> Turn:
        """Fire what is due now, and no more. Raise QueueError where the database does not answer."""
        return self.turn()

    def shutdown(self) -> None:
        """Let `run()` end when what it is doing is done."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `shutdown()` was called."""
        return self._stopping.is_set()

    def synchronise(self) -> None:
        """Take over what code and settings declare; `run()` and `run_once()` do it first."""
        declarations, problems = self._declared()
        for problem in problems:
            logger.error("%s", problem)
        for note in synchronise(self.session, self._clock(), declarations, schedules_version()):
            logger.info("%s", note)
        self._is_synchronised = True

    def preview(self, number: int) -> Iterator[tuple[str, str, list[datetime]]]:
        """Yield name, words and next slots of all that would be fired: rows, and what is declared and not taken over yet.

        Writes nothing.
        """
        now = self._clock()
        declarations, _ = self._declared()
        declared_now = {declaration.name: declaration for declaration in declarations}
        known = set()
        for view in list_schedules(number, database=self.session.alias):
            known.add(view.row.name)
            if view.state == "on" and (view.row.source == PEOPLE or view.row.name in declared_now):
                yield view.row.name, view.words, list(view.next)
        for declaration in declarations:
            if declaration.name not in known and declaration.enabled:
                yield declaration.name, str(declaration.schedule), list(islice(slots_of(declaration, now), number))

    def turn(self) -> Turn:
        """See to all that is due now. Raise QueueError where the database does not answer; what was done before is done."""
        if not self._is_synchronised:
            self.synchronise()
        now = self._clock()
        ran_since = self._window(now)
        self._left = {pk: until for pk, until in self._left.items() if until > now}
        turn = Turn()
        while not self._stopping.is_set():
            batch = self._batch(now, ran_since)
            self._report(turn, batch, now)
            if batch.seen < BATCH or not batch.handled:
                break
            # So far nobody may say that we were not there.
            self._alive_at = self._clock()
        released = release(self.session, now)
        self._sender.send([slot for slot in released if slot.state == SlotRow.SENDING])
        for slot in released:
            _announce_released(slot, now)
        self._sender.relay(now)
        self._prune(now)
        self._ran_at = self._alive_at = now
        self.turns += 1
        return turn

    def was_there(self) -> None:
        """Count the time since the last turn as watched, however long it was: nothing that came due in it is missed."""
        self._alive_at = self._clock()

    def seconds_to_next(self) -> float:
        """Return how long nothing has to be done, as far as is known: at most a second, since people may change things."""
        rows = ScheduleRow.objects.using(self.session.alias).filter(next_at__isnull=False).exclude(pk__in=self._left)
        # Not the least of them by MIN(): MariaDB reads all of the index for that, and here its first entry.
        first = rows.order_by("next_at").values_list("next_at", flat=True)
        next_at = self.session.run(lambda cursor: next(iter(first[:1]), None))
        if next_at is None:
            return LOOK_EVERY
        return min(LOOK_EVERY, max(0.0, (next_at - self._clock()).total_seconds()))

    def _declared(self) -> tuple[list[Declaration], list[Problem]]:
        # What is declared for a backend that cannot be made is not known: a scheduler that went on would retire it.
        task_backends.all()
        return collect(self._registry)

    def _window(self, now: datetime) -> datetime | None:
        """Return from when on this scheduler has looked without a break."""
        if self._ran_at is None or self._alive_at is None or now - self._alive_at > LATE:
            return None
        return self._ran_at - SLACK

    def _batch(self, now: datetime, ran_since: datetime | None) -> Batch:
        try:
            return self._fire(now, ran_since, None)
        except QueueError:
            if self._failures < SUSPICIOUS:
                raise
            return self._sift(now, ran_since)

    def _fire(self, now: datetime, ran_since: datetime | None, only: int | None) -> Batch:
        return fire_due(self.session, now, ran_since, max_catchup=self.max_catchup, left=list(self._left), only=only)

    def _sift(self, now: datetime, ran_since: datetime | None) -> Batch:
        """Try schedules one by one: what the database refuses while it answers otherwise is switched off."""
        whole = Batch()
        rows = due_rows(self.session, now, list(self._left))
        for pk in self.session.run(lambda cursor: list(rows.values_list("pk", flat=True)[:BATCH])):
            whole.seen += 1
            whole.handled += 1
            try:
                batch = self._fire(now, ran_since, pk)
            except QueueError as exc:
                # Or it does not answer at all, and this says so.
                self._clock()
                logger.error("Schedule with the id %d is refused by the database and switched off: %s", pk, exc)
                give_up(self.session, pk, now, exc)
                continue
            whole.firings += batch.firings
            whole.errors |= batch.errors
            whole.left |= batch.left
            whole.notes += batch.notes
        return whole

    def _report(self, turn: Turn, batch: Batch, now: datetime) -> None:
        self._left |= dict.fromkeys(batch.left, now + REST)
        for note in batch.notes:
            logger.warning("%s", note)
        turn.errors |= batch.errors
        turn.fired += batch.firings
        apart = [firing for firing in batch.firings if _is_apart(firing, self.session.alias)]
        if apart:
            ids = [firing.job.id for firing in apart]
            slots = SlotRow.objects.using(self.session.alias).filter(pk__in=ids)
            self._sender.send(self.session.run(lambda cursor: list(slots)))
        for firing in batch.firings:
            logger.info(FIRED, firing.schedule, firing.slot, firing.job.id)
            self._on_fired(firing)
            _announce(firing, now)

    def _prune(self, now: datetime) -> None:
        if self._pruned_at is not None and now - self._pruned_at < PRUNE_EVERY:
            return
        self._pruned_at = now
        table = SlotRow.objects.using(self.session.alias)
        old = table.filter(due_at__lt=now - KEEP, state__in=[SlotRow.SENT, SlotRow.UNSURE]).order_by("due_at")
        while ids := self.session.run(lambda cursor: list(old.values_list("pk", flat=True)[:500])):
            self.session.run(lambda cursor: table.filter(pk__in=ids)._raw_delete(self.session.alias))
            if len(ids) < 500 or self._stopping.is_set():
                break

    def _failed(self, exc: Exception) -> float:
        self._failures += 1
        pause = pause_after(self._failures, first=0.1, longest=LONGEST_PAUSE)
        report = logger.warning if isinstance(exc, QueueError) else logger.exception
        if self._failures in (1, 2) or self._failures % 10 == 0:
            report("The scheduler could not do its work (try %d, next in %.1f s): %s", self._failures, pause, exc)
        if not isinstance(exc, QueueError):
            self.session.close()
        return pause

    def _recovered(self) -> None:
        if self._failures:
            logger.warning("The scheduler works again, after %d tries.", self._failures)
        self._failures = 0


def _is_apart(firing: Firing, database: str) -> bool:
    return firing.state == SlotRow.SENDING and not firing.address.is_in(database)


def _announce(firing: Firing, now: datetime) -> None:
    """Tell the receivers of `task_enqueued`."""
    if firing.address.broker is None or firing.state != SlotRow.SENDING:
        return
    declaration = firing.declaration
    job = as_enqueued(firing.job, now)
    result = fill_result(job, firing.address.task, list(declaration.args), dict(declaration.kwargs))
    announce(type(firing.address.backend), result)


def _announce_released(slot: SlotRow, now: datetime) -> None:
    """The same for a slot that waited. Where its task or its backend is gone since, there is nobody to speak of."""
    try:
        job = as_enqueued(job_from_text(slot.job or ""), now)
        result = result_of(job, task_of(job))
        sender = type(task_backends[slot.alias])
    except (ValueError, TypeError, TaskNotFound, InvalidTaskBackend):
        return
    announce(sender, result)
