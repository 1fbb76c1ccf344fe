"""The process above the worker processes: it keeps their leases, ends what cannot be ended from inside, replaces what dies.

It has no threads: what a fork copies of it is always whole. Between two births it holds one connection to the store, for
heartbeats.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..brokers.base import Broker, Pulse, WorkerInfo
from ..exceptions import QueueError, TaskCancelled, TaskTimeout
from ..options import BackendOptions
from ..retries import pause_after
from .board import Board
from .children import Child
from .estates import Estates
from .exporting import Exporting
from .health import QUIET, READY, RELOADING, STOPPING, Vitals
from .link import Link
from .memory import weighed
from .wishes import Wishes

logger = logging.getLogger("reinhardt_tasks")

#: Seconds that a task has for its clean-up after it was told to stop, before its process is ended.
GRACE = 5.0
#: Seconds after which a process whose loop has not turned is replaced.
STALLED = 300.0
#: Seconds between two heartbeats for a process that runs something.
BUSY_INTERVAL = 1.0
#: A process that lives shorter than this has crashed at its start; the pause before the next grows up to this many seconds.
SHORT_LIFE, LONGEST_PAUSE = 10.0, 30.0
#: Seconds of a turn for the receivers of `task_finished`: heartbeats wait as long, and for the last of them to return.
SHARE = 0.2
#: Our own loop turns several times a second. After a longer gap we were suspended ourselves, and what we know is old.
GAP = 5.0


class Supervisor:
    """Runs `processes` workers until told to stop.

    `bear` starts one, with its name, its link, its board and what it has to let go of first, and returns its process id.
    """

    def __init__(
        self,
        broker: Callable[[], Broker],
        options: BackendOptions,
        sender: type,
        bear: Callable[[WorkerInfo, Link, Board, Callable[[], None]], int],
        new_info: Callable[[], WorkerInfo],
        processes: int,
        slots: int,
        shutdown_timeout: float,
        ready: Callable[[], None] = lambda: None,
        look: Callable[[], None] = lambda: None,
        new_board: Callable[[int], Board] = Board,
        exporting: Exporting | None = None,
    ) -> None:
        self._broker = broker
        self._bear_process = bear
        self._new_info = new_info
        self._processes = processes
        self._slots = slots
        self._ready = ready
        self._look = look
        self._new_board = new_board
        self._exporting = exporting or Exporting()
        self._estates = Estates(broker, options, sender, new_info, self._exporting.totals)
        self._turns = 0
        self._heard_at: float | None = None
        self._shutdown_timeout = shutdown_timeout
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._wishes = Wishes()
        self._crashes = 0
        self._born_next_at = 0.0
        self._forced = False
        self._turned_at = time.monotonic()

    def run(self) -> int:
        """Work until told to stop, or until every process has left by itself; return the exit code."""
        with self._wishes.heard() as wake:
            self._ready()
            self._selector.register(wake, selectors.EVENT_READ, None)
            try:
                while not self._is_over():
                    self._turn(wake)
                self._estates.tell(self._shutdown_timeout)
            finally:
                self._exporting.end()
        if self._wishes.is_reload:
            self._start_anew()
        return 1 if self._forced or self._wishes.stops > 1 else 0

    def _turn(self, wake: int) -> None:
        self._populate()
        self._export()
        self._obey()
        self._listen(wake)
        self._make_up_for_gap()
        # While it is fresh what they said: all that follows asks the store, which may hang.
        self._enforce()
        self._reap()
        self._beat()
        self._estates.tell(SHARE)
        self._turns += 1
        self._look()

    def vitals(self) -> Vitals:
        """Return what a service manager is told. A worker process that is stuck is ours to replace, and not told here."""
        is_told = RELOADING if self._wishes.is_reload else STOPPING if self._wishes.stops else None
        return Vitals(
            state=is_told or (QUIET if self._wishes.is_quiet else READY),
            turns=self._turns,
            running=sum(len(child.board.ids()) for child in self._children),
            beat_at=self._heard_at,
            processes=len(self._children),
        )

    def _obey(self) -> None:
        stops, is_quiet, dumps = min(self._wishes.stops, 2), self._wishes.is_quiet, self._wishes.dumps
        for child in self._children:
            if child.stops < stops:
                child.stops = stops
                child.kill_at = time.monotonic() + (2.0 if stops > 1 else self._shutdown_timeout + GRACE)
                child.link.tell(stop=stops)
            if child.is_quiet is not is_quiet:
                child.is_quiet = is_quiet
                child.link.tell(quiet=is_quiet)
            if child.dumps != dumps:
                child.dumps = dumps
                child.link.tell(stacks=True)

    def _make_up_for_gap(self) -> None:
        """Give the processes the time during which we could not hear them."""
        now = time.monotonic()
        gap, self._turned_at = now - self._turned_at, now
        if gap < GAP:
            return
        for child in self._children:
            child.make_up_for(gap)

    def _is_over(self) -> bool:
        return not self._children and (self._wishes.stops > 0 or self._processes == 0)

    def _populate(self) -> None:
        while (
            not self._wishes.stops and len(self._children) < self._processes and time.monotonic() >= self._born_next_at
        ):
            self._children.append(self._bear())

    def _bear(self) -> Child:
        """Start a worker process. It gets no connection of ours: ours are closed first."""
        info = self._new_info()
        ours, theirs = Link.pair()
        ours.never_block()
        board = self._new_board(self._slots)
        self._let_go()

        def clean() -> None:
            self._close_links()
            self._exporting.let_go()
            ours.close()

        pid = self._bear_process(info, theirs, board, clean)
        theirs.close()
        child = Child(info=replace(info, pid=pid), link=ours, board=board, pid=pid, dumps=self._wishes.dumps)
        self._selector.register(ours.read, selectors.EVENT_READ, child)
        return child

    def _close_links(self) -> None:
        """Close, in a process that was just born, what belongs to the supervisor alone."""
        self._selector.close()
        for sibling in self._children:
            sibling.link.close()

    def _export(self) -> None:
        """See to it that somebody serves the metrics."""
        if (gone := self._exporting.reap()) is not None:
            if gone.read in self._selector.get_map():
                self._selector.unregister(gone.read)
            gone.close()
        if self._exporting.is_due:
            self._let_go()
            link = self._exporting.start(self._close_links)
            self._selector.register(link.read, selectors.EVENT_READ, link)
        self._exporting.flush()

    def _let_go(self) -> None:
        from django.db import connections

        try:
            self._broker().close()
        except QueueError as exc:
            logger.warning("The store could not be left properly: %s", exc)
        connections.close_all()

    def _listen(self, wake: int) -> None:
        for key, _ in self._selector.select(timeout=0.2):
            if key.data is None:
                os.read(wake, 4096)
                continue
            link = key.data.link if isinstance(key.data, Child) else key.data
            messages = link.take()
            if messages is None:
                self._selector.unregister(key.fd)
            elif isinstance(key.data, Child):
                for message in messages:
                    self._hear(key.data, message)
            else:
                self._exporting.answer(messages, [{"processes": 1, **child.load} for child in self._children])

    def _hear(self, child: Child, message: dict[str, Any]) -> None:
        if "counted" in message:
            self._exporting.totals.add(message["counted"])
        child.hear(message)

    def _reap(self) -> None:
        for child in list(self._children):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                for message in child.link.take() or () if self._is_registered(child) else ():
                    self._hear(child, message)
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _is_registered(self, child: Child) -> bool:
        return child.link.read in self._selector.get_map()

    def _bury(self, child: Child, code: int) -> None:
        self._children.remove(child)
        if self._is_registered(child):
            self._selector.unregister(child.link.read)
        child.link.close()
        if child.stops and (code != 0 or child.bye == "forced"):
            self._forced = True
        if code == 0 and child.bye is not None:
            if child.bye == "done":
                # It has nothing more to do (--burst): nobody takes its place.
                self._processes = max(0, self._processes - 1)
            self._estates.sign_off(child)
        else:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            logger.error(
                "Worker process %d (%s) ended %s; its tasks are given to others.", child.pid, child.info.id, how
            )
            self._estates.give_away(child)
            self._pause_after(child)
        child.board.close()

    def _pause_after(self, child: Child) -> None:
        if child.kill_at is not None:
            # We ended it ourselves: it has not crashed.
            return
        if time.monotonic() - child.born_at > SHORT_LIFE:
            self._crashes = 0
            return
        self._crashes += 1
        pause = pause_after(self._crashes, first=0.25, longest=LONGEST_PAUSE)
        self._born_next_at = time.monotonic() + pause

    def _beat(self) -> None:
        now = time.monotonic()
        for child in self._children:
            child.link.flush()
            interval = BUSY_INTERVAL if child.is_busy or child.held or child.timed else child.info.lease / 3
            if now - child.beat_at < min(interval, child.info.lease / 3):
                continue
            child.beat_at = asked = time.monotonic()
            try:
                pulse: Pulse = self._broker().heartbeat(weighed(child.info))
            except QueueError as exc:
                logger.warning("The heartbeat for %s did not get through: %s", child.info.id, exc)
                continue
            except Exception:
                logger.exception("The heartbeat for %s failed; it goes on.", child.info.id)
                continue
            self._heard_at = heard = time.monotonic()
            child.held, child.pulsed_at = dict(pulse.held), asked
            # What is no longer to be cancelled is forgotten: a person may have it run again, here.
            child.cancelled = {job_id: child.cancelled.get(job_id, heard) for job_id in pulse.cancelled}
            if not child.link.is_clogged:
                child.link.tell(
                    held=dict(pulse.held), cancelled=sorted(pulse.cancelled), whole=pulse.is_whole, asked=asked
                )

    def _enforce(self) -> None:
        now = time.monotonic()
        for child in self._children:
            for job_id, (token, deadline) in list(child.timed.items()):
                if now > deadline + GRACE:
                    self._condemn(
                        child,
                        job_id,
                        token,
                        TaskTimeout("It ran for longer than its timeout, and did not stop."),
                    )
            for job_id, since in list(child.cancelled.items()):
                # Not one that waits in its line: it is not begun any more. Nor one that has ended since we asked.
                if child.pulsed_at > since + GRACE and job_id in child.held and job_id in child.board.ids():
                    self._condemn(
                        child,
                        job_id,
                        child.held[job_id],
                        TaskCancelled("It was cancelled while it ran, and did not stop."),
                    )
            if now - child.turned_at > STALLED and child.kill_at is None:
                logger.error(
                    "Worker process %d has not moved for %g s: its stacks follow, and it is replaced.",
                    child.pid,
                    STALLED,
                )
                child.link.tell(stacks=True)
                child.kill_at = now + GRACE
            if child.kill_at is not None and now > child.kill_at:
                _kill(child.pid, signal.SIGKILL)

    def _condemn(self, child: Child, job_id: str, token: int, reason: Exception) -> None:
        """Record what became of a task that does not stop, and end its process: at once if it runs that and nothing else."""
        child.timed.pop(job_id, None)
        child.cancelled.pop(job_id, None)
        logger.error("Task id=%s does not stop: %s Its process %d is ended.", job_id, reason, child.pid)
        try:
            self._estates.record(child, job_id, token, reason)
        except Exception as exc:
            logger.warning("What became of task %s could not be recorded: %s", job_id, exc)
        if child.board.ids() == {job_id} and set(child.held) <= {job_id}:
            child.kill_at = time.monotonic()
            # Now: if it stops in a moment after all, something else begins here.
            _kill(child.pid, signal.SIGKILL)
        else:
            child.link.tell(drain=job_id)
            child.kill_at = child.kill_at or time.monotonic() + self._shutdown_timeout + GRACE

    def _start_anew(self) -> None:
        """Become the new version of this program: same process, same arguments, code read again."""
        self._let_go()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # It has ended, and will be reaped.
        return
