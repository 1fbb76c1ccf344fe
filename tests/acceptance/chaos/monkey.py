"""Enqueues the errands and deals the blows while they are run, until nothing is left to do."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from reinhardt_tasks.jobs import Job

from .blows import Blow
from .crew import Crew, Member
from .errands import Errand
from .ledger import Ledger
from .stores import Store

#: Errands that are enqueued in one go, and how many may wait at one time.
BATCH, AHEAD = 200, 1000
#: Seconds in which something must have moved.
PATIENCE = 60.0


class Stuck(Exception):
    """Nothing moves any more, though not all is done."""


class Monkey:
    """`ids` are the tasks' ids by their numbers; `outages` are when the store was away, or nobody could write to it."""

    def __init__(
        self,
        store: Store,
        broker: Any,
        crew: Crew,
        ledger: Ledger,
        errands: Sequence[Errand],
        blows: Sequence[Blow],
        tell: Callable[[str], None],
    ) -> None:
        self.ids: dict[str, int] = {}
        self.outages: list[tuple[datetime, datetime]] = []
        #: What was seen of tasks that had ended, in the midst of it all: it must not change any more.
        self.seen_ended: dict[str, tuple[Any, ...]] = {}
        self._store, self._broker, self._crew, self._ledger = store, broker, crew, ledger
        self._errands, self._blows = list(errands), list(blows)
        self._thaws: list[threading.Timer] = []
        self._tell = tell
        self._count = len(errands)
        self._moved, self._moved_at = -1, time.monotonic()

    def run(self) -> None:
        """Return when all errands are enqueued, all blows are dealt, and nothing waits or runs."""
        while True:
            self._ledger.read()
            self._crew.look()
            begun = len(self._ledger.began)
            if self._errands and len(self.ids) - begun < AHEAD:
                self._enqueue()
            elif self._blows and begun >= self._blows[0].at * self._count:
                self._deal(self._blows.pop(0))
            elif not self._errands and not self._blows and self._all_have_ended():
                for thaw in self._thaws:
                    thaw.join()
                return
            self._watch()
            time.sleep(0.05)

    def _enqueue(self) -> None:
        batch, self._errands = self._errands[:BATCH], self._errands[BATCH:]
        for kind, group in groupby(sorted(batch, key=lambda errand: errand.kind), key=lambda errand: errand.kind):
            errands = list(group)
            calls = [((errand.number, *errand.args), {}) for errand in errands]
            for errand, result in zip(errands, errands[0].task.enqueue_many(calls), strict=True):
                assert errand.kind == kind
                self.ids[result.id] = errand.number

    def _deal(self, blow: Blow) -> None:
        self._look_at_the_ended()
        self._tell(f"{len(self._ledger.began)} of {self._count} begun: {blow.kind} ({blow.seconds:g} s)")
        if blow.kind in self._store.blows:
            began = datetime.now(UTC)
            # Ours would be found dead afterwards.
            self._broker.close()
            self._store.hurt(blow)
            self.outages.append((began, datetime.now(UTC)))
            return
        victims = self._crew.supervisors() if "supervisor" in blow.kind or "child" in blow.kind else self._crew.alone()
        if blow.kind == "terminate":
            victims = victims + self._crew.supervisors()
        if victims:
            self._strike(blow, victims[int(blow.choice * len(victims))])

    def _strike(self, blow: Blow, victim: Member) -> None:
        children = victim.children
        match blow.kind:
            case "kill" | "kill a supervisor":
                self._note(blow, victim.pid, *children)
                os.kill(victim.pid, signal.SIGKILL)
            case "kill a child":
                if children:
                    child = children[int(blow.choice * 997) % len(children)]
                    self._note(blow, child)
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
            case "terminate":
                self._note(blow, victim.pid, *children)
                victim.process.terminate()
            case "freeze":
                self._freeze(blow, victim, [victim.pid])
            case "freeze a supervisor":
                # With all below it, or alone: then its workers go on, and nobody keeps their leases.
                self._freeze(blow, victim, [victim.pid, *(children if blow.choice < 0.5 else ())])

    def _freeze(self, blow: Blow, victim: Member, pids: list[int]) -> None:
        self._note(blow, *{*pids, *victim.children})
        victim.is_frozen = True
        process = victim.process
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

        def thaw() -> None:
            if victim.process is process:
                victim.is_frozen = False
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)

        # Not in the loop, which may have to wait for what the frozen one holds.
        timer = threading.Timer(blow.seconds, thaw)
        timer.start()
        self._thaws.append(timer)

    def _note(self, blow: Blow, *pids: int) -> None:
        for pid in pids:
            self._crew.hurt[pid] = blow.kind

    def _look_at_the_ended(self) -> None:
        some = list(self.ids)[:: max(1, len(self.ids) // 200)]
        for id_, job in self._broker.get(some).items():
            if job.status.is_finished:
                self.seen_ended.setdefault(id_, state_of(job))

    def _all_have_ended(self) -> bool:
        # The counts of one moment may miss what moves just then; they only tell when it is worth to look.
        if any(number for queue in self._broker.counts() for number in queue.counts.values()):
            return False
        ids = list(self.ids)
        some = (self._broker.get(ids[start : start + 500]) for start in range(0, len(ids), 500))
        return all(job.status.is_finished for jobs in some for job in jobs.values())

    def _watch(self) -> None:
        moved = sum(map(len, self._ledger.began.values())) + len(self.ids)
        if moved != self._moved:
            self._moved, self._moved_at = moved, time.monotonic()
        elif time.monotonic() - self._moved_at > PATIENCE:
            raise Stuck(f"Nothing has begun for {PATIENCE:g} s, and there is: {self._broker.counts()}")


def state_of(job: Job) -> tuple[Any, ...]:
    """Return what of a task that has ended must not change any more."""
    return job.status, job.token, job.finished_at, job.result, len(job.history)
